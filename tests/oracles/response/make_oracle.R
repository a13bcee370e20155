# Expected numbers for tests/unit/test_response.py: R's stats, and metafor.
# Run inside this folder: Rscript make_oracle.R
suppressPackageStartupMessages(library(metafor))
set.seed(19981210)
digits <- function(x) format(x, digits = 15, trim = TRUE)

n <- 120
d <- data.frame(
  id = sprintf("P%03d", seq_len(n)), age = round(rnorm(n, 55, 10)), er = rbinom(n, 1, 0.6)
)
for (j in 1:4) d[[paste0("s", j)]] <- round(rnorm(n) - (j == 2) * d$er, 3)
d$response <- rbinom(n, 1, plogis(-1 + 0.8 * d$s1 - 0.7 * d$er))
write.csv(d, "patients.csv", row.names = FALSE, quote = FALSE)
tight <- glm.control(epsilon = 1e-14, maxit = 50)
out <- do.call(rbind, lapply(paste0("s", 1:4), function(s) {
  rows <- lapply(list(none = character(), `er+age` = c("er", "age")), function(beside) {
    fit <- glm(reformulate(c(beside, s), "response"), binomial, d, control = tight)
    base <- glm(reformulate(c("1", beside), "response"), binomial, d, control = tight)
    k <- summary(fit)$coefficients[s, ]
    data.frame(score = s, coef = digits(k[[1]]), se = digits(k[[2]]), p = digits(k[[4]]),
               rao = digits(anova(base, fit, test = "Rao")$Rao[2]))
  })
  cbind(adjustment = names(rows), do.call(rbind, rows))
}))
write.csv(out, "glm.csv", row.names = FALSE, quote = FALSE)

# paired differences: exact sign flips by enumeration, noncentral t limits by root finding
cases <- list(
  small = c(-1.2, -0.4, 0.3, -0.8, -1.9, -0.7, 0.1, -1.1),
  ties = c(1, 1, -1, 2, 0, 2, -1, 3),
  large = round(rnorm(14, 0.4), 2)
)
flips <- function(x) {
  x <- x[x != 0]
  signs <- as.matrix(expand.grid(rep(list(c(-1, 1)), length(x))))
  mean(abs(signs %*% x) >= abs(sum(x)) - 1e-9)
}
paired <- do.call(rbind, lapply(names(cases), function(name) {
  x <- cases[[name]]
  n <- length(x)
  # SMCC needs the SD of the change: with both SDs s and correlation 1/2 it is s
  e <- escalc("SMCC", m1i = mean(x), m2i = 0, sd1i = sd(x), sd2i = sd(x), ri = 0.5, ni = n)
  t <- mean(x) / sd(x) * sqrt(n)
  j <- exp(lgamma((n - 1) / 2) - log(sqrt((n - 1) / 2)) - lgamma((n - 2) / 2))
  limit <- function(q) uniroot(function(ncp) pt(t, n - 1, ncp) - q, c(-8, 8), tol = 1e-12)$root
  data.frame(case = name, values = paste(x, collapse = " "), d = digits(as.numeric(e$yi)),
             se = digits(sqrt(as.numeric(e$vi))), low = digits(j * limit(0.975) / sqrt(n)),
             high = digits(j * limit(0.025) / sqrt(n)), p = digits(flips(x)))
}))
write.csv(paired, "paired.csv", row.names = FALSE, quote = FALSE)
power <- data.frame(n = c(5, 12, 40))
power$delta <- sapply(power$n, function(n) {
  digits(power.t.test(n = n, power = 0.8, type = "paired", strict = TRUE, tol = 1e-12)$delta)
})
write.csv(power, "power.csv", row.names = FALSE, quote = FALSE)

# a trial of three arms, one of them for HER2-positive patients only: glm beside the case mix
set.seed(1998)
n <- 360
d <- data.frame(
  id = sprintf("P%03d", seq_len(n)), age = round(rnorm(n, 55, 10)), er = rbinom(n, 1, 0.6),
  her2 = rbinom(n, 1, 0.35)
)
d$arm <- ifelse(d$her2 == 1 & rbinom(n, 1, 0.5) == 1, "trastuzumab",
                ifelse(rbinom(n, 1, 0.5) == 1, "taxane", "anthracycline"))
for (gene in c("IL1B", "IL2", "IL6", "TNF", "IFNG", "IL2RA")) {
  d[[gene]] <- round(rnorm(n, 5) + 0.6 * d$her2 - 0.5 * d$er, 3)
}
d$response <- rbinom(n, 1, plogis(-0.3 + 0.5 * scale(d$IL6) - d$er + 0.5 * (d$arm == "taxane")))
write.csv(d, "arms.csv", row.names = FALSE, quote = FALSE)
panel <- as.data.frame(scale(d[c("IL1B", "IL2", "IL6", "TNF", "IFNG", "IL2RA")]))
panel$contrast <- panel$IFNG - (panel$IL1B + panel$IL6 + panel$IL2RA) / 3
out <- do.call(rbind, lapply(names(panel), function(s) {
  d$z <- as.numeric(scale(panel[[s]]))
  do.call(rbind, lapply(c(none = "z", `er+her2+age+treatment` = "z + er + her2 + age + arm"),
    function(f) {
      fit <- glm(as.formula(paste("response ~", f)), binomial, d, control = tight)
      k <- summary(fit)$coefficients["z", ]
      data.frame(column = s, coef = digits(k[[1]]), se = digits(k[[2]]), p = digits(k[[4]]))
    }))
}))
out$adjustment <- rep(c("none", "er+her2+age+treatment"), length(panel))
write.csv(out, "arms_glm.csv", row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, paste("metafor", packageVersion("metafor"))), "versions.txt")
