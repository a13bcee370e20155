# Expected numbers for tests/unit/test_survival_*.py, by R's survival package.
# Run inside this folder: Rscript make_oracle.R
library(survival)
set.seed(20110928)

n <- 260
d <- data.frame(
  id = sprintf("P%03d", seq_len(n)),
  age = round(rnorm(n, 60, 12)),
  er = rbinom(n, 1, 0.7),
  her2 = rbinom(n, 1, 0.2)
)
for (j in 1:6) d[[paste0("s", j)]] <- round(rnorm(n) + (j == 2) * d$er - (j == 3) * d$age / 12, 3)
eta <- 0.02 * (d$age - 60) - 0.5 * d$er + 0.4 * d$s1 + 0.5 * d$her2 * d$s4
late <- rexp(n, exp(eta) / 1500)
# s5 acts in the first 600 days only, so that proportional hazards fails for it
early <- rexp(n, exp(eta + 1.1 * d$s5) / 4000)
t <- ifelse(early < 600, pmin(early, late), late)
censor <- runif(n, 100, 3000)
d$event <- as.integer(t <= censor)
# months of 30 days: heavy ties, deaths and censorings at the same time
d$time <- 30 * floor(pmin(t, censor) / 30)
stopifnot(sum(d$time == 0 & d$event == 1) > 0)
# one censored patient of time 0
d$time[which(d$event == 0)[1]] <- 0
write.csv(d, "patients.csv", row.names = FALSE, quote = FALSE)

digits <- function(x) format(x, digits = 15, trim = TRUE)
rows <- list()
add <- function(model, fit) {
  zph <- tryCatch(cox.zph(fit)$table, error = function(e) NULL)
  se <- sqrt(diag(vcov(fit)))
  for (term in names(coef(fit))) {
    rows[[length(rows) + 1]] <<- data.frame(
      model = model, term = term, coef = digits(coef(fit)[[term]]), se = digits(se[[term]]),
      loglik_zero = digits(fit$loglik[1]), loglik = digits(fit$loglik[2]),
      zph = digits(if (is.null(zph)) NA else zph[term, "chisq"]),
      zph_p = digits(if (is.null(zph)) NA else zph[term, "p"])
    )
  }
}
tight <- coxph.control(eps = 1e-11, toler.chol = 1e-12, iter.max = 50)
fit <- function(formula, data = d) {
  coxph(formula, data = data, ties = "efron", control = tight, x = TRUE, model = TRUE)
}
for (j in 1:6) {
  f <- function(text) as.formula(sprintf(text, j))
  add(paste0("crude:s", j), fit(f("Surv(time, event) ~ s%d")))
  add(paste0("adjusted:s", j), fit(f("Surv(time, event) ~ er + age + s%d")))
  add(paste0("stratified:s", j), fit(f("Surv(time, event) ~ age + s%d + strata(er)")))
  d$s <- d[[paste0("s", j)]]
  d$product <- d$s * d$her2
  add(paste0("interaction:s", j), fit(Surv(time, event) ~ er + age + her2 + s + product))
}
# the fall-back where proportional hazards fails: one model per period
first <- transform(d, time = pmin(ifelse(time == 0, 0.5, time), 600),
                   event = ifelse(time > 600, 0, event))
add("first600:s5", fit(Surv(time, event) ~ er + age + s5, first))
add("after600:s5", fit(Surv(time, event) ~ er + age + s5, subset(d, time > 600)))
out <- do.call(rbind, rows)
write.csv(out, "coxph.csv", row.names = FALSE, quote = FALSE)

base <- fit(Surv(time, event) ~ er + age)
score <- data.frame(score = paste0("s", 1:6), crude = NA, adjusted = NA, stratified = NA)
base2 <- fit(Surv(time, event) ~ age + strata(er))
still <- coxph.control(iter.max = 0)
for (j in 1:6) {
  f <- function(text) as.formula(sprintf(text, j))
  score$crude[j] <- digits(fit(f("Surv(time, event) ~ s%d"))$score)
  score$adjusted[j] <- digits(suppressWarnings(coxph(
    f("Surv(time, event) ~ er + age + s%d"), d, init = c(coef(base), 0), control = still))$score)
  score$stratified[j] <- digits(suppressWarnings(coxph(
    f("Surv(time, event) ~ age + s%d + strata(er)"), d, init = c(coef(base2), 0),
    control = still))$score)
}
write.csv(score, "score_test.csv", row.names = FALSE, quote = FALSE)

conc <- do.call(rbind, lapply(c(paste0("s", 1:6), "er", "age"), function(v) {
  k <- concordance(Surv(time, event) ~ d[[v]], data = d, reverse = TRUE)
  data.frame(risk = v, concordance = digits(k$concordance), concordant = k$count[["concordant"]],
             discordant = k$count[["discordant"]], tied_risk = k$count[["tied.x"]])
}))
write.csv(conc, "concordance.csv", row.names = FALSE, quote = FALSE)

thirds <- cut(d$s1, quantile(d$s1, c(0, 1, 2, 3) / 3), labels = c("low", "middle", "high"),
              include.lowest = TRUE)
d$kmtime <- ifelse(d$time == 0, 0.5, d$time)
km <- summary(survfit(Surv(kmtime, event) ~ thirds, d, conf.type = "log-log"), censored = TRUE)
curves <- data.frame(
  group = sub("thirds=", "", km$strata), time = km$time, at_risk = km$n.risk, events = km$n.event,
  censored = km$n.censor, survival = digits(km$surv), low = digits(km$lower),
  high = digits(km$upper)
)
write.csv(curves, "survfit.csv", row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, paste("survival", packageVersion("survival"))), "versions.txt")
