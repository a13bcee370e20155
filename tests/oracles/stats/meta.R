# Expected numbers for the pools, from metafor.
# Writes studies.csv (set, yi, sei) and meta.csv (set, quantity, value).
# Run in this folder: Rscript meta.R
suppressPackageStartupMessages(library(metafor))
set.seed(412)
bcg <- escalc("RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
sets <- list(
  bcg = data.frame(yi = as.numeric(bcg$yi), sei = sqrt(bcg$vi)),
  two = data.frame(yi = c(0.41, -0.12), sei = c(0.21, 0.13)),
  equal = data.frame(yi = c(0.2, 0.2, 0.2), sei = c(0.1, 0.2, 0.3)),
  homogeneous = data.frame(yi = c(0.31, 0.29, 0.33, 0.30), sei = c(0.2, 0.15, 0.3, 0.25)),
  uneven = data.frame(yi = c(-0.05, 0.62, 0.18), sei = c(0.05, 0.31, 0.22))
)
for (k in 3:8) sets[[paste0("random", k)]] <- data.frame(
  yi = rnorm(k, 0.3, 0.3), sei = runif(k, 0.05, 0.35))
rows <- list()
put <- function(.set, ...) {
  values <- list(...)
  for (name in names(values)) rows[[length(rows) + 1]] <<- data.frame(
    set = .set, quantity = name, value = sprintf("%.17g", as.numeric(values[[name]])))
}
control <- list(threshold = 1e-12, maxiter = 10000)
for (set in names(sets)) {
  d <- sets[[set]]; k <- nrow(d)
  re <- rma(yi, sei = sei, data = d, method = "REML", test = "adhoc", control = control)
  fe <- rma(yi, sei = sei, data = d, method = "FE")
  put(set, tau2 = re$tau2, i2 = re$I2, q = re$QE, q_p = re$QEp, estimate = re$beta, se = re$se,
      low = re$ci.lb, high = re$ci.ub, p = re$pval, fe_estimate = fe$beta, fe_se = fe$se,
      fe_low = fe$ci.lb, fe_high = fe$ci.ub, fe_p = fe$pval, fe_i2 = fe$I2)
  if (k >= 3) {
    pr <- predict(re)
    put(set, pi_low = pr$pi.lb, pi_high = pr$pi.ub)
    # leave1out() keeps test but not control; refit by hand
    for (i in seq_len(k)) {
      one <- rma(yi, sei = sei, data = d[-i, ], method = "REML", control = control)
      do.call(put, c(list(set), setNames(list(one$beta), paste0("loo", i))))
    }
  }
}
studies <- do.call(rbind, lapply(names(sets), function(s) data.frame(
  set = s, yi = sprintf("%.17g", sets[[s]]$yi), sei = sprintf("%.17g", sets[[s]]$sei))))
write.csv(studies, "studies.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, rows), "meta.csv", row.names = FALSE, quote = FALSE)
