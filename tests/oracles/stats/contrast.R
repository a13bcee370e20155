# Expected numbers for the estimators of contrasts.
# Writes samples.csv (the data) and contrast.csv (dataset, column, quantity, value).
# Run in this folder: Rscript contrast.R
suppressPackageStartupMessages({library(metafor); library(pROC)})
set.seed(20091)

draw <- function(n1, n0) {
  n <- n1 + n0
  case <- rep(c(1, 0), c(n1, n0))
  er <- rbinom(n, 1, ifelse(case == 1, 0.45, 0.75))
  er[1:4] <- c(0, 1, 0, 1)
  age <- round(rnorm(n, 58, 12), 1)
  batch <- sample(c("a", "b", "c"), n, replace = TRUE)
  plain <- rnorm(n) + 0.5 * case - 0.6 * er + 0.01 * age
  data.frame(
    case, er, age, batch,
    plain = plain,
    tied = round(rnorm(n) + 0.4 * case, 1),
    uneven = rnorm(n, sd = ifelse(case == 1, 3, 1)) + 0.8 * case,
    strong = rnorm(n) - 2.5 * case,
    apart = rnorm(n, sd = 0.3) + 6 * case
  )
}
# one sample alone in its batch: leverage 1
alone <- draw(12, 30); alone$batch <- ifelse(seq_len(42) == 20, "z", "a")
sets <- list(small = draw(9, 21), middle = draw(30, 45), large = draw(40, 160), alone = alone)

rows <- list()
put <- function(.dataset, .column, ...) {
  values <- list(...)
  for (name in names(values)) rows[[length(rows) + 1]] <<- data.frame(
    dataset = .dataset, column = .column, quantity = name, value = sprintf("%.17g", as.numeric(values[[name]])))
}
newcombe5 <- function(n1, n0, z) {
  m <- (n1 + n0) / 2
  f <- function(A) (1 - A) - z * sqrt(A * (1 - A) * (1 + (m - 1) * ((1 - A) / (2 - A) +
    A / (1 + A))) / (n1 * n0))
  uniroot(f, c(0.01, 1 - 1e-9), tol = 1e-14)$root
}
hc3 <- function(fit) {
  X <- model.matrix(fit); keep <- hatvalues(fit) < 1 - 1e-9
  w <- ifelse(keep, (residuals(fit) / (1 - hatvalues(fit)))^2, 0)
  bread <- solve(crossprod(X))
  sqrt(diag(bread %*% crossprod(X * w, X) %*% bread))
}

for (dataset in names(sets)) {
  d <- sets[[dataset]]
  n1 <- sum(d$case); n0 <- sum(1 - d$case)
  for (column in c("plain", "tied", "uneven", "strong", "apart")) {
    y <- d[[column]]; a <- y[d$case == 1]; b <- y[d$case == 0]
    e <- escalc("SMD", m1i = mean(a), sd1i = sd(a), n1i = n1, m2i = mean(b), sd2i = sd(b),
                n2i = n0, vtype = "LS")
    df <- n1 + n0 - 2
    sp <- sqrt(((n1 - 1) * var(a) + (n0 - 1) * var(b)) / df)
    s <- sqrt(1 / n1 + 1 / n0); t <- (mean(a) - mean(b)) / sp / s
    J <- gamma(df / 2) / (sqrt(df / 2) * gamma((df - 1) / 2))
    if (!is.finite(J)) J <- exp(lgamma(df / 2) - lgamma((df - 1) / 2)) / sqrt(df / 2)
    ncp <- function(p) suppressWarnings(
      uniroot(function(x) pt(t, df, x) - p, pmax(-37, pmin(37, t + c(-15, 15))), tol = 1e-12)$root)
    put(dataset, column, sd = sp, g = e$yi, g_se = sqrt(e$vi),
        t_p = t.test(a, b, var.equal = TRUE)$p.value)
    if (abs(t) < 25) # R's noncentral t ends at a noncentrality of 37.6
      put(dataset, column, g_low = J * s * ncp(0.975), g_high = J * s * ncp(0.025),
          g_low90 = J * s * ncp(0.95), g_high90 = J * s * ncp(0.05))
    put(dataset, column, mw_p = suppressWarnings(wilcox.test(a, b)$p.value))
    r <- suppressMessages(roc(d$case, y, direction = "<", levels = c(0, 1)))
    # DeLong's variance is pROC's; the interval is on the logit scale with Welch's freedom
    placed <- outer(a, b, function(u, v) (u > v) + 0.5 * (u == v))
    parts <- c(var(rowMeans(placed)) / n1, var(colMeans(placed)) / n0)
    freedom <- sum(parts)^2 / sum(parts^2 / (c(n1, n0) - 1))
    A <- as.numeric(auc(r)); v <- suppressWarnings(var(r, method = "delong"))
    ci <- plogis(qlogis(A) + c(-1, 1) * qt(0.975, freedom) * sqrt(v) / (A * (1 - A)))
    z <- qnorm(0.975)
    if (A == 1) ci <- c(newcombe5(n1, n0, z), 1)
    if (A == 0) ci <- c(0, 1 - newcombe5(n1, n0, z))
    put(dataset, column, auc = A, auc_se = sqrt(v), auc_low = ci[1], auc_high = ci[2])
    fit <- lm(y ~ case + er + age + batch, data = d)
    se <- hc3(fit)["case"]; lost <- sum(hatvalues(fit) > 1 - 1e-9)
    est <- coef(fit)["case"] / sp
    full <- sqrt((se / sp)^2 + est^2 / (2 * df))
    h <- qt(0.975, fit$df.residual) * full
    put(dataset, column, adj = est, adj_se = full, adj_low = est - h, adj_high = est + h,
        adj_p = 2 * pt(-abs(coef(fit)["case"] / se), fit$df.residual),
        hc3_se = se, hc3_df = fit$df.residual)
    two <- lm(y ~ case + er + age, data = d)
    put(dataset, column, er_age = coef(two)["case"] / sp,
        er_age_p = 2 * pt(-abs(coef(two)["case"] / hc3(two)["case"]), two$df.residual))
    part <- anova(lm(y ~ case, data = d), fit)
    ll <- 2 * (logLik(fit) - logLik(lm(y ~ case, data = d)))
    put(dataset, column, nested_f = part$F[2], nested_p = part[["Pr(>F)"]][2],
        nested_lr = ll, nested_lr_p = pchisq(ll, part$Df[2], lower.tail = FALSE),
        nested_gain = summary(fit)$r.squared - summary(lm(y ~ case, data = d))$r.squared)
    t90 <- t.test(a, b, var.equal = TRUE, conf.level = 0.9)$conf.int
    put(dataset, column, tost_low = t90[1], tost_high = t90[2], diff = mean(a) - mean(b),
        diff_se = sp * s, tost_p = max(
          t.test(a, b, mu = -0.2, alternative = "greater", var.equal = TRUE)$p.value,
          t.test(a, b, mu = 0.2, alternative = "less", var.equal = TRUE)$p.value))
  }
  # partial correlation of two scores given er and age: r from residuals, p from the regression
  for (method in c("pearson", "spearman")) {
    v <- d[, c("plain", "uneven", "er", "age")]
    if (method == "spearman") v <- as.data.frame(lapply(v, rank))
    r <- cor(residuals(lm(plain ~ er + age, v)), residuals(lm(uneven ~ er + age, v)))
    p <- summary(lm(plain ~ uneven + er + age, v))$coefficients["uneven", 4]
    k <- 2; n <- nrow(v)
    sez <- sqrt((1 + ifelse(method == "spearman", r^2 / 2, 0)) / (n - k - 3))
    lim <- tanh(atanh(r) + c(-1, 1) * qnorm(0.975) * sez)
    put(dataset, method, rho = r, rho_p = p, rho_low = lim[1], rho_high = lim[2])
    if (method == "pearson") {
      plain <- cor.test(d$plain, d$uneven)
      put(dataset, "plain correlation", rho = plain$estimate, rho_p = plain$p.value,
          rho_low = plain$conf.int[1], rho_high = plain$conf.int[2])
    }
  }
}

p <- c(0.001, 0.2, NA, 0.03, 0.03, 0.9, 1e-9, 0.049)
for (i in seq_along(p)) put("bh", i, p = p[i], q = p.adjust(p, "BH")[i])

for (n in c(5, 20, 64, 400)) {
  d <- power.t.test(n, power = 0.8, sd = 1, strict = TRUE, tol = 1e-12)$delta
  df <- 2 * n - 2
  put("power", n, g = d * exp(lgamma(df / 2) - lgamma((df - 1) / 2)) / sqrt(df / 2))
}

# two normal components by direct maximisation of the likelihood, no EM
set.seed(7)
x <- c(rnorm(240, 6, 0.9), rnorm(45, 9.5, 1.2))
nll <- function(p) -sum(log(plogis(p[5]) * dnorm(x, p[1], exp(p[3])) +
  (1 - plogis(p[5])) * dnorm(x, p[2], exp(p[4]))))
o <- optim(c(6, 9.5, 0, 0, 1.5), nll, control = list(maxit = 20000, reltol = 1e-15))
o <- optim(o$par, nll, method = "BFGS", control = list(maxit = 2000, reltol = 1e-15))
w <- plogis(o$par[5])
post <- (1 - w) * dnorm(x, o$par[2], exp(o$par[4]))
post <- post / (post + w * dnorm(x, o$par[1], exp(o$par[3])))
put("mixture", "fit", mean1 = o$par[1], mean2 = o$par[2], sd1 = exp(o$par[3]),
    sd2 = exp(o$par[4]), weight1 = w, log_likelihood = -o$value)
write.csv(data.frame(x = sprintf("%.17g", x), posterior = sprintf("%.17g", post)),
          "mixture.csv", row.names = FALSE, quote = FALSE)

samples <- do.call(rbind, lapply(names(sets), function(s) cbind(dataset = s, sets[[s]])))
for (v in c("plain", "uneven", "strong", "apart")) samples[[v]] <- sprintf("%.17g", samples[[v]])
write.csv(samples, "samples.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, rows), "contrast.csv", row.names = FALSE, quote = FALSE)
