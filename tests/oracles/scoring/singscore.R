# singscore by upstream's own functions, which stay outside this repository.
# Call: Rscript singscore.R <checkout of DavisLaboratory/singscore>
suppressMessages({library(GSEABase); library(matrixStats)})
source(file.path(dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))), "common.R"))
source(file.path(args[1], "R", "rankAndScoring.R"))

one <- function(data, ties) {
  ranks <- rankExpr(read_matrix(data), ties)
  do.call(rbind, lapply(set_names, function(name) {
    down <- side_of(name, "down")
    call <- function(...) {
      suppressWarnings(singleSingscore(ranks, GeneSet(side_of(name, "up")), ...))$TotalScore
    }
    as_row <- function(values, variant) {
      long(matrix(values, 1, dimnames = list(name, colnames(ranks))), data, "singscore", variant)
    }
    if (length(down)) {
      return(as_row(call(downSet = GeneSet(down)), paste(ties, "known")))
    }
    rbind(
      as_row(call(), paste(ties, "known")),
      as_row(call(knownDirection = FALSE), paste(ties, "unknown"))
    )
  }))
}
save_table(
  rbind(one("continuous", "min"), one("tied", "min"), one("tied", "average")),
  "singscore.tsv"
)
