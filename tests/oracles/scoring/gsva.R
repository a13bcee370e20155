# ssGSEA, combined z-score and GSVA of R's GSVA package (Debian: r-bioc-gsva).
# Call: Rscript gsva.R
suppressMessages(library(GSVA))
source(file.path(dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))), "common.R"))

sets <- lapply(setNames(up_only, up_only), side_of, which = "up")
run <- function(data, method, variant = "", ...) {
  scores <- gsva(read_matrix(data), sets, method = method, min.sz = 1, verbose = FALSE, ...)
  long(scores, data, method, variant)
}
invisible(capture.output(out <- suppressWarnings(rbind(
  run("continuous", "ssgsea", ssgsea.norm = FALSE),
  run("continuous", "zscore"),
  run("tied", "zscore"),
  run("continuous", "gsva", "gaussian", kcdf = "Gaussian"),
  run("negative_binomial", "gsva", "poisson", kcdf = "Poisson")
))))
save_table(out, "gsva.tsv")
