# Time R GSVA on a matrix of doubles (genes x samples, column by column).
# Call: Rscript gsva.R folder method threads repeats; writes scores.bin, prints seconds of each.
suppressMessages(library(GSVA))
args <- commandArgs(trailingOnly = TRUE)
shape <- scan(file.path(args[1], "shape.txt"), quiet = TRUE)
matrix <- matrix(
  readBin(file.path(args[1], "matrix.bin"), "double", prod(shape)), shape[1], shape[2],
  dimnames = list(paste0("G", seq_len(shape[1]) - 1), paste0("S", seq_len(shape[2]) - 1))
)
table <- read.delim(file.path(args[1], "sets.tsv"), header = FALSE)
sets <- split(table$V2, factor(table$V1, unique(table$V1)))
threads <- as.integer(args[3])
backend <- BiocParallel::SerialParam()
if (threads > 1) backend <- BiocParallel::MulticoreParam(threads)
seconds <- replicate(as.integer(args[4]), {
  started <- proc.time()[["elapsed"]]
  invisible(capture.output(suppressWarnings(suppressMessages(
    scores <- gsva(
      matrix, sets, method = args[2], ssgsea.norm = FALSE, min.sz = 1, kcdf = "Gaussian",
      verbose = FALSE, parallel.sz = threads, BPPARAM = backend
    )
  ))))
  scores <<- scores
  proc.time()[["elapsed"]] - started
})
writeBin(as.vector(scores[names(sets), ]), file.path(args[1], "scores.bin"))
cat(seconds, "\n")
