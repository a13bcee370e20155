# AUCell by upstream's own functions, which stay outside this repository; input without ties.
# Call: Rscript aucell.R <checkout of aertslab/AUCell>
suppressMessages(library(GSEABase))
source(file.path(dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))), "common.R"))
source(file.path(args[1], "R", "02_calcAUC.R"))

ranks <- apply(-read_matrix("continuous"), 2, rank)
run <- function(fraction) {
  limit <- ceiling(fraction * nrow(ranks))
  scores <- t(sapply(up_only, function(name) {
    .AUC.geneSet_norm(side_of(name, "up"), ranks, limit)[colnames(ranks)]
  }))
  long(scores, "continuous", "aucell", fraction)
}
save_table(rbind(run(0.05), run(0.2)), "aucell.tsv")
