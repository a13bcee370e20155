# Read the inputs and write scores in one long form: data, method, variant, set, sample, score.
args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))

read_matrix <- function(name) {
  as.matrix(read.delim(gzfile(file.path(here, paste0(name, ".tsv.gz"))), row.names = 1))
}

table_of_sets <- read.delim(file.path(here, "sets.tsv"))
side_of <- function(name, which) {
  table_of_sets$gene[table_of_sets$set == name & table_of_sets$side == which]
}
set_names <- unique(table_of_sets$set)
up_only <- set_names[sapply(set_names, function(s) length(side_of(s, "down")) == 0)]

long <- function(scores, data, method, variant = "") {
  # scores: sets x samples
  data.frame(
    data = data, method = method, variant = variant,
    set = rep(rownames(scores), ncol(scores)),
    sample = rep(colnames(scores), each = nrow(scores)),
    score = sprintf("%.17g", as.vector(scores))
  )
}

save_table <- function(frame, name) {
  write.table(frame, file.path(here, name), sep = "\t", quote = FALSE, row.names = FALSE)
}
