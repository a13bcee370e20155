# Ridge regression written out, and the moments of its coefficients over 20,000 permutations.
# Call: Rscript ridge.R
source(file.path(dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))), "common.R"))

y <- read_matrix("continuous")[1:300, 1:5]
y <- scale(y - rowMeans(y))
weights <- read_matrix("continuous")[1:300, 6:12]
x <- scale(weights)
penalty <- 1e4
project <- solve(crossprod(x) + penalty * diag(ncol(x)), t(x))
beta <- project %*% y
set.seed(1)
random <- replicate(20000, project %*% y[sample(nrow(y)), ])
se <- apply(random, c(1, 2), sd)
p <- apply(abs(random) >= abs(c(beta)), c(1, 2), mean)
dimnames(se) <- dimnames(p) <- dimnames(beta)
save_table(
  rbind(
    long(beta, "continuous", "cytosig", "beta"),
    long(se, "continuous", "cytosig", "se"),
    long(p, "continuous", "cytosig", "p")
  ),
  "ridge.tsv"
)
