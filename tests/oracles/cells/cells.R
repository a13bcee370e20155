# Expected numbers for tests/unit/test_cells.py, from base R. Run in this folder: Rscript cells.R
options(digits = 15)
grid <- expand.grid(k = c(0, 1, 2, 9, 11, 12, 50, 180, 181), n = c(1, 2, 12, 181, 5000))
grid <- grid[grid$k <= grid$n, ]
exact <- t(mapply(function(k, n) binom.test(k, n)$conf.int, grid$k, grid$n))
write.csv(data.frame(grid, low = exact[, 1], high = exact[, 2]), "binom_test.csv",
          row.names = FALSE)

# paired differences over patients: t interval, and every sign pattern counted
sets <- list(
  eight = c(0.041, 0.038, 0.052, 0.019, 0.066, 0.024, 0.047, 0.031),
  mixed = c(0.041, -0.008, 0.012, 0.019, -0.030, 0.024, 0.007),
  three = c(1.5, 2.25, 0.75)
)
rows <- lapply(names(sets), function(name) {
  d <- sets[[name]]
  t <- t.test(d)
  signs <- as.matrix(expand.grid(rep(list(c(-1, 1)), length(d))))
  p <- mean(abs(signs %*% d) >= abs(sum(d)) * (1 - 1e-10))
  data.frame(name = name, estimate = unname(t$estimate), se = unname(t$stderr),
             low = t$conf.int[1], high = t$conf.int[2], p = p)
})
write.csv(do.call(rbind, rows), "paired.csv", row.names = FALSE)

# median interval by order statistics: the exact coverage of [x(k), x(n + 1 - k)] is
# 1 - 2 P(Binomial(n, 1/2) < k); the largest k with at least 95 %
rows <- lapply(c(5, 6, 10, 33, 124, 379), function(n) {
  cover <- 1 - 2 * pbinom(seq_len(n %/% 2) - 1, n, 0.5)
  fits <- which(cover >= 0.95)
  k <- if (length(fits)) max(fits) else NA
  data.frame(n = n, lower_rank = k, upper_rank = n + 1 - k)
})
write.csv(do.call(rbind, rows), "median_ranks.csv", row.names = FALSE)
