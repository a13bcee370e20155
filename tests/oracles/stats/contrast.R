# Expected numbers for the estimators of contrasts.
# Writes samples.csv, mixture.csv, ranks.csv (the data) and contrast.csv (dataset, column,
# quantity, value).
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
sets <- list(small = draw(9, 21), middle = draw(30, 45), large = draw(40, 160), alone = alone,
             few = draw(5, 95))

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
# HC3 of the coefficient of case, its degrees of freedom by the eigenvalues of the quadratic form
# under equal variances, and its mean in units of the true variance
hc3 <- function(fit) {
  X <- model.matrix(fit); h <- hatvalues(fit); keep <- h < 1 - 1e-9
  a <- (solve(crossprod(X)) %*% t(X))["case", ] * keep
  D <- ifelse(keep, a^2 / (1 - ifelse(keep, h, 0))^2, 0)
  M <- diag(nrow(X)) - X %*% solve(crossprod(X)) %*% t(X)
  lambda <- eigen(sqrt(D) * M * rep(sqrt(D), each = nrow(X)), symmetric = TRUE,
                  only.values = TRUE)$values
  list(se = sqrt(sum(D * residuals(fit)^2)), df = sum(lambda)^2 / sum(lambda^2),
       c = sum(lambda) / sum(a^2))
}
# a difference in units of the pooled SD: u is one over the degrees of freedom of its square
in_units <- function(est, w, df, u) {
  extra <- est^2 * u / 2
  list(v = w + extra, df = (w + extra)^2 / (w^2 / df + extra^2 * u))
}
adjusted <- function(fit, sp, u) {
  r <- hc3(fit); est <- unname(coef(fit)["case"]) / sp
  wide <- in_units(est, (r$se / sp)^2, r$df, u)
  own <- in_units(est, (r$se / sp)^2 / r$c, r$df, u)
  h <- qt(0.975, own$df) * sqrt(own$v)
  list(est = est, se = sqrt(wide$v), low = est - h, high = est + h,
       p = 2 * pt(-abs(est * sp / r$se) * sqrt(r$c), r$df), hc3 = r)
}

for (dataset in names(sets)) {
  d <- sets[[dataset]]
  n1 <- sum(d$case); n0 <- sum(1 - d$case)
  for (column in c("plain", "tied", "uneven", "strong", "apart")) {
    y <- d[[column]]; a <- y[d$case == 1]; b <- y[d$case == 0]
    e <- escalc("SMD", m1i = mean(a), sd1i = sd(a), n1i = n1, m2i = mean(b), sd2i = sd(b),
                n2i = n0)
    df <- n1 + n0 - 2
    welch <- t.test(a, b)
    sp <- sqrt(((n1 - 1) * var(a) + (n0 - 1) * var(b)) / df)
    u <- ((n1 - 1) * var(a)^2 + (n0 - 1) * var(b)^2) / (df * sp^2)^2
    J <- gamma(df / 2) / (sqrt(df / 2) * gamma((df - 1) / 2))
    if (!is.finite(J)) J <- exp(lgamma(df / 2) - lgamma((df - 1) / 2)) / sqrt(df / 2)
    g <- in_units(e$yi / J, (welch$stderr / sp)^2, welch$parameter, u)
    h <- function(level) qt(0.5 + level / 2, g$df) * J * sqrt(g$v)
    put(dataset, column, sd = sp, g = e$yi, g_se = J * sqrt(g$v), g_df = g$df,
        g_p = 2 * pt(-abs(e$yi) / (J * sqrt(g$v)), g$df), welch_p = welch$p.value,
        g_low = e$yi - h(0.95), g_high = e$yi + h(0.95),
        g_low90 = e$yi - h(0.9), g_high90 = e$yi + h(0.9))
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
    adj <- adjusted(fit, sp, u)
    put(dataset, column, adj = adj$est, adj_se = adj$se, adj_low = adj$low, adj_high = adj$high,
        adj_p = adj$p, hc3_se = adj$hc3$se, hc3_df = adj$hc3$df, hc3_c = adj$hc3$c,
        residual_df = fit$df.residual)
    two <- adjusted(lm(y ~ case + er + age, data = d), sp, u)
    put(dataset, column, er_age = two$est, er_age_low = two$low, er_age_high = two$high,
        er_age_p = two$p)
    none <- adjusted(lm(y ~ case, data = d), sp, u)
    put(dataset, column, no_covariate = none$est, no_covariate_low = none$low,
        no_covariate_high = none$high, no_covariate_p = none$p)
    part <- anova(lm(y ~ case, data = d), fit)
    ll <- 2 * (logLik(fit) - logLik(lm(y ~ case, data = d)))
    put(dataset, column, nested_f = part$F[2], nested_p = part[["Pr(>F)"]][2],
        nested_lr = ll, nested_lr_p = pchisq(ll, part$Df[2], lower.tail = FALSE),
        nested_gain = summary(fit)$r.squared - summary(lm(y ~ case, data = d))$r.squared)
    t90 <- t.test(a, b, var.equal = TRUE, conf.level = 0.9)$conf.int
    put(dataset, column, tost_low = t90[1], tost_high = t90[2], diff = mean(a) - mean(b),
        diff_se = t.test(a, b, var.equal = TRUE)$stderr, tost_p = max(
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

# groups of unequal spread: ratio of the SDs r, Welch's degrees of freedom
for (design in list(c(15, 85, 1.8), c(85, 15, 1.8), c(5, 295, 1), c(30, 270, 0.6))) {
  n1 <- design[1]; n0 <- design[2]; r <- design[3]; df <- n1 + n0 - 2
  v <- c(r^2 / n1, 1 / n0); nu <- sum(v)^2 / sum(v^2 / (c(n1, n0) - 1))
  sp2 <- ((n1 - 1) * r^2 + n0 - 1) / df; k <- qt(0.975, nu)
  ncp <- uniroot(function(x) 1 - pt(k, nu, x) + pt(-k, nu, x) - 0.8, c(1, 10), tol = 1e-12)$root
  put("power unequal", paste(n1, n0, r),
      g = ncp * sqrt(sum(v) / sp2) * exp(lgamma(df / 2) - lgamma((df - 1) / 2)) / sqrt(df / 2))
}

# Spearman's rho of few samples: exact without ties by cor.test, with ties by all orders
orders <- function(v) if (length(v) < 2) list(v) else do.call(c, lapply(seq_along(v), function(i)
  lapply(orders(v[-i]), function(rest) c(v[i], rest))))
set.seed(61)
ranks <- NULL
for (n in 5:9) for (kind in c("free", "tied", "perfect")) {
  x <- sample(n); y <- if (kind == "perfect") n + 1 - x else sample(n)
  if (kind == "tied") { if (n > 7) next; x <- rank(x %/% 2); y <- rank(y %/% 3) }
  rho <- cor(x, y)
  p <- if (kind == "tied") mean(sapply(orders(y), function(o) abs(cor(x, o)) >= abs(rho) - 1e-12))
       else cor.test(x, y, method = "spearman", exact = TRUE)$p.value
  name <- paste(kind, n)
  put("exact spearman", name, rho = rho, p = p)
  ranks <- rbind(ranks, data.frame(name, x, y))
}
write.csv(ranks, "ranks.csv", row.names = FALSE, quote = FALSE)

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
