# Partial rank correlations, trends, explained variance and nested models with base R.
# Rscript make_oracle.R   (R 4.2.2, no packages) writes samples.csv, expected.csv, versions.txt
set.seed(20180720)
n <- 80
er <- rbinom(n, 1, 0.65)
her2 <- rbinom(n, 1, 0.2)
her2[c(5, 17)] <- NA
age <- round(rnorm(n, 58, 11), 1)
age[9] <- NA
stage <- sample(1:4, n, TRUE, c(0.3, 0.45, 0.2, 0.05))
stage[c(2, 30, 61)] <- NA
infiltrate <- rnorm(n)
myeloid_a <- infiltrate + rnorm(n, sd = 0.6)
myeloid_b <- 3 * infiltrate + rnorm(n, sd = 2)
lymphoid_a <- 0.5 * infiltrate + rnorm(n) - 0.4 * er
lymphoid_b <- 0.5 * infiltrate + rnorm(n)
tgfb <- rnorm(n) + 0.3 * infiltrate
il1b <- 0.5 * infiltrate + 0.4 * tgfb + rnorm(n)
tnf <- infiltrate + rnorm(n)
il1 <- 0.7 * tnf + 0.4 * infiltrate + 0.3 * ifelse(is.na(her2), 0, her2) + rnorm(n)
proliferation <- -0.8 * er + rnorm(n)
emt <- 0.5 * tgfb + rnorm(n)
samples <- data.frame(er, her2, age, stage, myeloid_a, myeloid_b, lymphoid_a, lymphoid_b,
                      tgfb, il1b, tnf, il1, proliferation, emt)
samples[, 5:14] <- round(samples[, 5:14], 2)   # rounded, so that there are ties
write.csv(samples, "samples.csv", row.names = FALSE, na = "")
attach(samples)

z <- function(x) (x - mean(x)) / sd(x)
myeloid <- (z(samples$myeloid_a) + z(samples$myeloid_b)) / 2
lymphoid <- (z(samples$lymphoid_a) + z(samples$lymphoid_b)) / 2
rows <- list()
keep <- function(name, estimate, low, high, p, n)
  rows[[length(rows) + 1]] <<- data.frame(name, estimate, low, high, p, n)

partial <- function(name, x, y, given = NULL, ranks = TRUE) {
  frame <- if (is.null(given)) data.frame(x, y) else data.frame(x, y, given)
  frame <- frame[complete.cases(frame), ]
  if (ranks) frame[] <- lapply(frame, rank)
  k <- ncol(frame) - 2
  m <- nrow(frame)
  if (k == 0) r <- cor(frame$x, frame$y)
  else {
    covariates <- frame[, -(1:2), drop = FALSE]
    r <- cor(resid(lm(frame$x ~ ., covariates)), resid(lm(frame$y ~ ., covariates)))
  }
  df <- m - 2 - k
  se <- sqrt((if (ranks) 1 + r^2 / 2 else 1) / (m - k - 3))
  keep(name, r, tanh(atanh(r) - qnorm(0.975) * se), tanh(atanh(r) + qnorm(0.975) * se),
       2 * pt(-abs(r) * sqrt(df / (1 - r^2)), df), m)
}
s <- samples
partial("tgfb_il1b_given_infiltrate", s$tgfb, s$il1b, data.frame(myeloid, lymphoid))
partial("tgfb_il1b_crude", s$tgfb, s$il1b)
partial("tgfb_proliferation", s$tgfb, s$proliferation, data.frame(s$er, myeloid, lymphoid))
partial("tgfb_emt", s$tgfb, s$emt, data.frame(s$er, myeloid, lymphoid))
partial("il1_stage", s$il1, s$stage, data.frame(s$er, s$age))
partial("il1b_stage", s$il1b, s$stage, data.frame(s$er, s$age))
partial("nested_stage", s$il1, s$stage, data.frame(s$er, s$age, s$tnf), ranks = FALSE)

complete <- s[complete.cases(s[, c("her2", "age")]), ]
partial("nested_her2", complete$il1, complete$her2, complete[, c("er", "age", "tnf")], FALSE)
test <- anova(lm(her2 ~ er + age + tnf, complete), lm(her2 ~ er + age + tnf + il1, complete))
stopifnot(all.equal(test[2, "Pr(>F)"], rows[[length(rows)]]$p))   # the same test

explained <- function(name, markers) {
  fit <- summary(lm(s$il1 ~ ., s[, markers, drop = FALSE]))
  k <- length(markers)
  r2 <- fit$adj.r.squared
  se <- sqrt(4 * r2 * (1 - r2)^2 * (n - k - 1)^2 / ((n^2 - 1) * (n + 3)))
  f <- fit$fstatistic
  keep(name, r2, max(0, r2 - qnorm(0.975) * se), min(1, r2 + qnorm(0.975) * se),
       pf(f[1], f[2], f[3], lower.tail = FALSE), n)
}
explained("infiltration_myeloid", c("myeloid_a", "myeloid_b"))
explained("infiltration_both", c("myeloid_a", "myeloid_b", "lymphoid_a", "lymphoid_b"))

# The large-sample error of R2 against its spread over 4,000 normal samples of the same size.
simulated <- replicate(4000, {
  x <- matrix(rnorm(200 * 3), 200)
  y <- x %*% c(0.6, 0.4, 0.2) + rnorm(200)
  summary(lm(y ~ x))$adj.r.squared
})
keep("spread_of_r2_n200_k3", sd(simulated), NA, NA, NA, 200)
keep("mean_of_r2_n200_k3", mean(simulated), NA, NA, NA, 200)
expected <- do.call(rbind, rows)
expected[, 2:5] <- signif(expected[, 2:5], 12)
write.csv(expected, "expected.csv", row.names = FALSE, na = "")
writeLines(R.version.string, "versions.txt")
