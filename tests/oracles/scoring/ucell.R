# UCell by upstream's own functions, which stay outside this repository.
# Call: Rscript ucell.R <checkout of carmonalab/UCell>
suppressMessages(library(data.table))
source(file.path(dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))), "common.R"))
source(file.path(args[1], "R", "HelperFunctions.R"))

features <- lapply(setNames(set_names, set_names), function(name) {
  down <- side_of(name, "down")
  c(side_of(name, "up"), if (length(down)) paste0(down, "-"))
})
run <- function(data, max_rank, missing, weight) {
  ranks <- data_to_ranks_data_table(read_matrix(data))
  scores <- u_stat_signature_list(
    features, ranks, maxRank = max_rank, w_neg = weight, missing_genes = missing
  )
  long(t(scores), data, "ucell", paste(max_rank, missing, weight))
}
save_table(
  rbind(
    run("continuous", 400, "impute", 1),
    run("continuous", 400, "skip", 0.5),
    run("tied", 300, "impute", 1),
    run("tied", 300, "skip", 0)
  ),
  "ucell.tsv"
)
