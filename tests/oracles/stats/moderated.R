# Expected numbers of the moderated contrast, from limma.
# Writes expression.csv (samples x design and genes) and moderated.csv (case, gene, logFC, t, P).
# Run in this folder: Rscript moderated.R
suppressPackageStartupMessages(library(limma))
set.seed(1027)
n <- 26; genes <- 60
design <- cbind(case = rep(c(1, 0), c(9, 17)), intercept = 1, er = rbinom(n, 1, 0.6),
                age = round(rnorm(n, 0, 1), 2))
write_case <- function(name, sd) {
  y <- matrix(rnorm(n * genes, mean = 7), n) %*% diag(sd)
  y[, 1:6] <- y[, 1:6] + 1.2 * design[, "case"]
  y <- round(y, 4)
  fit <- eBayes(lmFit(t(y), design))
  list(y = y, out = data.frame(name, gene = seq_len(genes),
    logfc = sprintf("%.17g", fit$coefficients[, "case"]), t = sprintf("%.17g", fit$t[, "case"]),
    p = sprintf("%.17g", fit$p.value[, "case"]), df_prior = sprintf("%.17g", fit$df.prior),
    s2_prior = sprintf("%.17g", fit$s2.prior)))
}
a <- write_case("varied", sqrt(1 / rgamma(genes, 3, 3)))
b <- write_case("shared", rep(1, genes))
write.csv(rbind(data.frame(name = "varied", design, round(a$y, 4)),
                data.frame(name = "shared", design, round(b$y, 4))),
          "expression.csv", row.names = FALSE, quote = FALSE)
write.csv(rbind(a$out, b$out), "moderated.csv", row.names = FALSE, quote = FALSE)
