"""Compiled loops of the Cox partial likelihood with Efron's treatment of ties.

Only `cytostrat.stats.survival_models` and `cytostrat.stats.survival_concordance` call these.
Rows come sorted by stratum and then by falling time; a *group* is a run of rows with the same
stratum and time. ``start`` holds the first row of each group and ends with the number of rows,
``fresh`` marks the groups that open a stratum. For the k-th of d deaths that share a time, the
risk set loses the fraction (k - 1) / d of the weight of those d (Efron 1977,
doi:10.1080/01621459.1977.10480613).
"""

from __future__ import annotations

import numpy as np

from cytostrat.compiled import compiled, compiled_reassociating

CONVERGED, DIVERGED, SINGULAR = 0, 1, 2
BLOCK = 32


@compiled
def _cholesky(matrix):
    """Turn the lower triangle into its Cholesky factor; False where a pivot vanishes."""
    size = matrix.shape[0]
    for column in range(size):
        diagonal = matrix[column, column]
        pivot = diagonal
        for k in range(column):
            pivot -= matrix[column, k] * matrix[column, k]
        if not pivot > 1e-12 * diagonal:
            return False
        pivot = np.sqrt(pivot)
        matrix[column, column] = pivot
        for row in range(column + 1, size):
            value = matrix[row, column]
            for k in range(column):
                value -= matrix[row, k] * matrix[column, k]
            matrix[row, column] = value / pivot
    return True


@compiled
def _solve(factor, right):
    """Solve in place for one right-hand side, given a Cholesky factor."""
    size = factor.shape[0]
    for row in range(size):
        for k in range(row):
            right[row] -= factor[row, k] * right[k]
        right[row] /= factor[row, row]
    for row in range(size - 1, -1, -1):
        for k in range(row + 1, size):
            right[row] -= factor[k, row] * right[k]
        right[row] /= factor[row, row]


@compiled
def _derivatives(X, event, start, fresh, count, beta, gradient, information):
    """Log partial likelihood; fills the gradient and the lower triangle of the information.

    ``count`` says how many patients each row stands for, all with the row's time.
    """
    size = X.shape[1]
    gradient[:] = 0.0
    information[:, :] = 0.0
    s0 = 0.0
    s1 = np.zeros(size)
    s2 = np.zeros((size, size))
    t1 = np.zeros(size)
    t2 = np.zeros((size, size))
    mean = np.zeros(size)
    loglik = 0.0
    for group in range(fresh.size):
        if fresh[group]:
            s0 = 0.0
            s1[:] = 0.0
            s2[:, :] = 0.0
        deaths = 0.0
        t0 = 0.0
        for row in range(start[group], start[group + 1]):
            eta = 0.0
            for a in range(size):
                eta += X[row, a] * beta[a]
            weight = count[row] * np.exp(eta)
            s0 += weight
            for a in range(size):
                part = weight * X[row, a]
                s1[a] += part
                for b in range(a + 1):
                    s2[a, b] += part * X[row, b]
            if event[row]:
                if deaths == 0:
                    t1[:] = 0.0
                    t2[:, :] = 0.0
                deaths += count[row]
                loglik += count[row] * eta
                t0 += weight
                for a in range(size):
                    part = weight * X[row, a]
                    gradient[a] += count[row] * X[row, a]
                    t1[a] += part
                    for b in range(a + 1):
                        t2[a, b] += part * X[row, b]
        for k in range(int(deaths)):
            share = k / deaths
            total = s0 - share * t0
            loglik -= np.log(total)
            for a in range(size):
                mean[a] = (s1[a] - share * t1[a]) / total
                gradient[a] -= mean[a]
                for b in range(a + 1):
                    information[a, b] += (s2[a, b] - share * t2[a, b]) / total - mean[a] * mean[b]
    return loglik


@compiled
def _newton(X, event, start, fresh, count, beta, max_iterations, tolerance, settled, information):
    """Maximise from ``beta`` in place; returns code, culprit column and final loglik.

    Newton's error falls with the square of its step, so a step below ``settled`` is taken
    without another look; otherwise ``information`` ends as the factor at the maximum.
    """
    size = X.shape[1]
    gradient = np.zeros(size)
    step = np.zeros(size)
    trial = np.zeros(size)
    loglik = _derivatives(X, event, start, fresh, count, beta, gradient, information)
    culprit = 0
    for _ in range(max_iterations):
        if not _cholesky(information):
            return SINGULAR, culprit, loglik
        step[:] = gradient
        _solve(information, step)
        largest = 0.0
        for a in range(size):
            if np.abs(step[a]) > largest:
                largest = np.abs(step[a])
                culprit = a
        if largest < settled:
            for a in range(size):
                beta[a] += step[a]
            return CONVERGED, culprit, loglik
        scale = 1.0
        for _ in range(20):
            for a in range(size):
                trial[a] = beta[a] + scale * step[a]
            proposed = _derivatives(X, event, start, fresh, count, trial, gradient, information)
            if np.isfinite(proposed) and proposed >= loglik - 1e-9 * (1.0 + np.abs(loglik)):
                break
            scale *= 0.5
        beta[:] = trial
        loglik = proposed
        if largest < tolerance:
            return CONVERGED if _cholesky(information) else SINGULAR, culprit, loglik
    return DIVERGED, culprit, loglik


@compiled
def _schoenfeld(X, event, start, fresh, beta, transform, chi2):
    """Score test of ``x_j * g(t)`` beside all columns, one column at a time.

    ``transform`` holds g(t) per group, centred over the deaths. Grambsch & Therneau 1994 in the
    exact form that R's ``cox.zph`` has used since survival 3.0.
    """
    size = X.shape[1]
    s0 = 0.0
    s1 = np.zeros(size)
    s2 = np.zeros((size, size))
    t1 = np.zeros(size)
    t2 = np.zeros((size, size))
    mean = np.zeros(size)
    score = np.zeros(size)
    plain = np.zeros((size, size))
    mixed = np.zeros((size, size))
    squared = np.zeros(size)
    for group in range(fresh.size):
        if fresh[group]:
            s0 = 0.0
            s1[:] = 0.0
            s2[:, :] = 0.0
        deaths = 0
        t0 = 0.0
        t1[:] = 0.0
        t2[:, :] = 0.0
        g = transform[group]
        for row in range(start[group], start[group + 1]):
            eta = 0.0
            for a in range(size):
                eta += X[row, a] * beta[a]
            weight = np.exp(eta)
            s0 += weight
            for a in range(size):
                part = weight * X[row, a]
                s1[a] += part
                for b in range(a + 1):
                    s2[a, b] += part * X[row, b]
            if event[row]:
                deaths += 1
                t0 += weight
                for a in range(size):
                    part = weight * X[row, a]
                    score[a] += g * X[row, a]
                    t1[a] += part
                    for b in range(a + 1):
                        t2[a, b] += part * X[row, b]
        for k in range(deaths):
            share = k / deaths
            total = s0 - share * t0
            for a in range(size):
                mean[a] = (s1[a] - share * t1[a]) / total
                score[a] -= g * mean[a]
                for b in range(a + 1):
                    value = (s2[a, b] - share * t2[a, b]) / total - mean[a] * mean[b]
                    plain[a, b] += value
                    mixed[a, b] += g * value
                    if a == b:
                        squared[a] += g * g * value
    if not _cholesky(plain):
        chi2[:] = np.nan
        return
    column = np.zeros(size)
    for a in range(size):
        for b in range(size):
            column[b] = mixed[a, b] if b <= a else mixed[b, a]
        mean[:] = column
        _solve(plain, mean)
        variance = squared[a]
        for b in range(size):
            variance -= column[b] * mean[b]
        chi2[a] = score[a] * score[a] / variance if variance > 1e-12 * squared[a] else np.nan


@compiled
def fit_many(
    fixed, varying, event, start, fresh, transform, first, max_iterations, tolerance, with_ph
):
    """Fit one model per entry of ``varying`` (models x columns x rows) beside ``fixed``.

    Returns coefficients, covariances, code, culprit, loglik at zero and at the maximum, and the
    proportional-hazards chi-square of each column.
    """
    models, extra = varying.shape[0], varying.shape[1]
    rows, shared = fixed.shape
    size = shared + extra
    X = np.empty((rows, size))
    for row in range(rows):
        for a in range(shared):
            X[row, a] = fixed[row, a]
    beta = np.zeros((models, size))
    covariance = np.full((models, size, size), np.nan)
    code = np.zeros(models, dtype=np.int64)
    culprit = np.zeros(models, dtype=np.int64)
    loglik = np.zeros((models, 2))
    chi2 = np.full((models, size), np.nan)
    count = np.ones(rows)
    gradient, information = np.zeros(size), np.zeros((size, size))
    for model in range(models):
        for a in range(extra):
            for row in range(rows):
                X[row, shared + a] = varying[model, a, row]
        for a in range(shared):
            beta[model, a] = first[a]
        loglik[model, 0] = _derivatives(
            X, event, start, fresh, count, np.zeros(size), gradient, information
        )
        code[model], culprit[model], loglik[model, 1] = _newton(
            X, event, start, fresh, count, beta[model], max_iterations, tolerance, 0.0, information
        )
        if code[model] == CONVERGED:
            for a in range(size):
                covariance[model, a, :] = 0.0
                covariance[model, a, a] = 1.0
                _solve(information, covariance[model, a])
        if with_ph and code[model] == CONVERGED:
            _schoenfeld(X, event, start, fresh, beta[model], transform, chi2[model])
    return beta, covariance, code, culprit, loglik, chi2


@compiled
def null_model_terms(fixed, weight, event, start, fresh):
    """Give what the score test of any further column needs from the model without it.

    Returns, per row, the martingale residual, the expected number of deaths and the weighted
    deviation of the covariates; per death, the total weight of its risk set (in row order); and
    the information of the covariates.
    """
    rows, shared = fixed.shape
    deaths_in_all = 0
    for row in range(rows):
        deaths_in_all += event[row]
    totals = np.zeros(deaths_in_all)
    means = np.zeros((deaths_in_all, shared))
    s0 = 0.0
    s1 = np.zeros(shared)
    t1 = np.zeros(shared)
    done = 0
    for group in range(fresh.size):
        if fresh[group]:
            s0 = 0.0
            s1[:] = 0.0
        deaths = 0
        t0 = 0.0
        t1[:] = 0.0
        for row in range(start[group], start[group + 1]):
            s0 += weight[row]
            for a in range(shared):
                s1[a] += weight[row] * fixed[row, a]
            if event[row]:
                deaths += 1
                t0 += weight[row]
                for a in range(shared):
                    t1[a] += weight[row] * fixed[row, a]
        for k in range(deaths):
            share = k / deaths
            totals[done] = s0 - share * t0
            for a in range(shared):
                means[done, a] = (s1[a] - share * t1[a]) / totals[done]
            done += 1

    residual = np.zeros(rows)
    expected = np.zeros(rows)
    deviation = np.zeros((rows, shared))
    information = np.zeros((shared, shared))
    hazard = 0.0
    drift = np.zeros(shared)
    tie_drift = np.zeros(shared)
    for group in range(fresh.size - 1, -1, -1):
        deaths = 0
        for row in range(start[group], start[group + 1]):
            deaths += event[row]
        tie_hazard = 0.0
        tie_drift[:] = 0.0
        done -= deaths
        for k in range(deaths):
            share = k / deaths
            inverse = 1.0 / totals[done + k]
            hazard += inverse
            tie_hazard += share * inverse
            for a in range(shared):
                drift[a] += means[done + k, a] * inverse
                tie_drift[a] += share * means[done + k, a] * inverse
        for row in range(start[group], start[group + 1]):
            lost = 1.0 if event[row] else 0.0
            expected[row] = weight[row] * (hazard - lost * tie_hazard)
            residual[row] = lost - expected[row]
            for a in range(shared):
                shift = weight[row] * (drift[a] - lost * tie_drift[a])
                deviation[row, a] = expected[row] * fixed[row, a] - shift
            for a in range(shared):
                for b in range(shared):
                    information[a, b] += deviation[row, a] * fixed[row, b]
        if fresh[group]:
            hazard = 0.0
            drift[:] = 0.0
    return residual, expected, deviation, totals, information


@compiled
def score_terms(
    scores, rows, modifier, weight, residual, expected, deviation, event, start, fresh, totals
):
    """Score and information of many single columns beside a fitted model.

    ``scores`` is anything x models, ``rows`` picks its rows in the order of the risk sets. With a
    modifier m every model has the two columns s and s m. Returns the scale of each s, the score
    vectors, the information with the covariates, and that of the columns themselves (s s, s sm,
    sm sm), all for s centred and in units of its scale.

    The innermost loops run over models, `BLOCK` at a time, so that they compile to vector
    instructions and no sum is ever taken in another order.
    """
    size, models = rows.size, scores.shape[1]
    shared = deviation.shape[1]
    two = modifier.size > 0
    columns = 2 if two else 1
    scale = np.zeros(models)
    score = np.zeros((columns, models))
    mixed = np.zeros((columns, shared, models))
    own = np.zeros((3, models))
    s = np.empty((size, BLOCK))
    mean, spread, largest = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    run, tied = np.empty(BLOCK), np.empty(BLOCK)
    run_m, tied_m = np.empty(BLOCK), np.empty(BLOCK)
    for begin in range(0, models, BLOCK):
        width = min(BLOCK, models - begin)
        mean[:] = 0.0
        largest[:] = 0.0
        spread[:] = 0.0
        for row in range(size):
            source = scores[rows[row], begin : begin + width]
            for j in range(width):
                s[row, j] = source[j]
                mean[j] += s[row, j]
                largest[j] = max(largest[j], np.abs(s[row, j]))
        for j in range(width):
            mean[j] /= size
        for row in range(size):
            for j in range(width):
                s[row, j] -= mean[j]
                spread[j] += s[row, j] * s[row, j]
        for j in range(width):
            spread[j] = np.sqrt(spread[j] / size)
            if spread[j] > 1e-10 * largest[j]:
                scale[begin + j] = spread[j]
                spread[j] = 1.0 / spread[j]
            else:
                spread[j] = 0.0
        u, q = score[0, begin : begin + width], own[0, begin : begin + width]
        done = 0
        for group in range(fresh.size):
            if fresh[group]:
                run[:] = 0.0
                run_m[:] = 0.0
            deaths = 0
            tied[:] = 0.0
            tied_m[:] = 0.0
            for row in range(start[group], start[group + 1]):
                here = s[row]
                w, r, e = weight[row], residual[row], expected[row]
                for j in range(width):
                    here[j] *= spread[j]
                    run[j] += w * here[j]
                    u[j] += r * here[j]
                    q[j] += e * here[j] * here[j]
                for a in range(shared):
                    d = deviation[row, a]
                    target = mixed[0, a, begin : begin + width]
                    for j in range(width):
                        target[j] += d * here[j]
                if event[row]:
                    deaths += 1
                    for j in range(width):
                        tied[j] += w * here[j]
                if two:
                    m = modifier[row]
                    for j in range(width):
                        value = m * here[j]
                        run_m[j] += w * value
                        score[1, begin + j] += r * value
                        own[1, begin + j] += e * here[j] * value
                        own[2, begin + j] += e * value * value
                    for a in range(shared):
                        d = deviation[row, a] * m
                        for j in range(width):
                            mixed[1, a, begin + j] += d * here[j]
                    if event[row]:
                        for j in range(width):
                            tied_m[j] += w * m * here[j]
            for k in range(deaths):
                share = k / deaths
                inverse = 1.0 / totals[done]
                for j in range(width):
                    average = (run[j] - share * tied[j]) * inverse
                    q[j] -= average * average
                if two:
                    for j in range(width):
                        average = (run[j] - share * tied[j]) * inverse
                        average_m = (run_m[j] - share * tied_m[j]) * inverse
                        own[1, begin + j] -= average * average_m
                        own[2, begin + j] -= average_m * average_m
                done += 1
    return scale, score, mixed, own


@compiled
def _add(tree, position):
    while position < tree.size:
        tree[position] += 1
        position += position & (-position)


@compiled
def _count(tree, position):
    total = 0
    while position > 0:
        total += tree[position]
        position -= position & (-position)
    return total


@compiled
def concordance_counts(ranks, event, start):
    """Concordant, discordant and risk-tied pairs for each row of ``ranks``.

    Rows of one stratum, by falling time. A pair counts when the earlier time is a death; a death
    counts as earlier than a censoring at the same time, two deaths at one time do not count.
    ``ranks`` are dense ranks from 1, higher means higher risk.
    """
    models, rows = ranks.shape
    out = np.zeros((models, 3), dtype=np.int64)
    for model in range(models):
        tree = np.zeros(rows + 2, dtype=np.int64)
        size = 0
        for group in range(start.size - 1):
            for row in range(start[group], start[group + 1]):
                if not event[row]:
                    _add(tree, ranks[model, row])
                    size += 1
            for row in range(start[group], start[group + 1]):
                if event[row]:
                    below = _count(tree, ranks[model, row] - 1)
                    up_to = _count(tree, ranks[model, row])
                    out[model, 0] += below
                    out[model, 1] += size - up_to
                    out[model, 2] += up_to - below
            for row in range(start[group], start[group + 1]):
                if event[row]:
                    _add(tree, ranks[model, row])
                    size += 1
    return out


@compiled_reassociating
def _higher_risk(risk, before, deaths, count, width):
    """Half-pairs in which a death has the higher risk, among rows and among counted patients.

    A pair of equal risk (up to ``width``) is one half-pair, an ordered one two. Rows come by
    falling time and, at one time, deaths last; the death in row ``deaths[i]`` is compared with the
    first ``before[i]`` rows. All sums are of whole numbers, so their order cannot matter.
    """
    among_rows, among_counted = 0.0, 0.0
    for i in range(deaths.size):
        own = risk[deaths[i]]
        plain, counted = 0.0, 0.0
        for j in range(before[i]):
            lead = own - risk[j]
            halves = (1.0 if lead > width else 0.0) + (1.0 if lead >= -width else 0.0)
            plain += halves
            counted += count[j] * halves
        among_rows += plain
        among_counted += count[deaths[i]] * counted
    return among_rows, among_counted


@compiled
def bootstrap_concordance(
    fixed, scores, event, start, counts, base, full, same, max_iterations, settled
):
    """Fit the covariates, alone and beside each score, to bootstrap samples; judge both ways.

    ``counts`` (samples x rows) says how often a sample holds each row; ``scores`` is models x
    rows. ``base`` and ``full`` are the coefficients in all patients, where Newton starts. Rows
    are of one stratum, by falling time, deaths last. Risks that differ by ``same`` of their range
    are equal.

    Returns the concordance (samples x models + 1 x 2) of the covariates alone (first) and beside
    each score: among the patients of the sample, and among all patients. NaN where a model has
    no finite fit in the sample.
    """
    samples, rows = counts.shape
    models, shared = scores.shape[0], fixed.shape[1]
    out = np.full((samples, models + 1, 2), np.nan)
    n_deaths = 0
    for row in range(rows):
        n_deaths += event[row]
    deaths, before = np.zeros(n_deaths, np.int64), np.zeros(n_deaths, np.int64)
    done = 0
    for group in range(start.size - 1):
        first = start[group]
        while first < start[group + 1] and not event[first]:
            first += 1
        for row in range(first, start[group + 1]):
            deaths[done], before[done] = row, first
            done += 1

    fits = ~np.isnan(full[:, 0])
    risk = np.zeros(rows)
    for sample in range(samples):
        count = counts[sample]
        kept = np.flatnonzero(count)
        size = kept.size
        weight, dies = count[kept], event[kept]
        begin = np.zeros(start.size, np.int64)
        groups = 0
        at = 0
        for group in range(start.size - 1):
            begin[groups] = at
            while at < size and kept[at] < start[group + 1]:
                at += 1
            if at > begin[groups]:
                groups += 1
        begin[groups] = size
        begin = begin[: groups + 1]
        fresh = np.zeros(groups, np.bool_)
        fresh[0] = True
        Z, X = np.empty((size, shared)), np.empty((size, shared + 1))
        constant = not dies.any()
        for a in range(shared):
            lowest, highest = np.inf, -np.inf
            for i in range(size):
                value = fixed[kept[i], a]
                Z[i, a], X[i, a] = value, value
                lowest, highest = min(lowest, value), max(highest, value)
            constant |= lowest == highest
        if constant:
            continue
        pairs, drawn = 0.0, 0.0
        for i in range(n_deaths):
            pairs += before[i]
            drawn += count[deaths[i]] * count[: before[i]].sum()

        for model in range(-1, models):
            if model < 0:
                beta = base.copy()
                information = np.zeros((shared, shared))
                code = _newton(
                    Z, dies, begin, fresh, weight, beta, max_iterations, settled, settled,
                    information,
                )[0]  # fmt: skip
                if code != CONVERGED:
                    break
                alone = beta
            else:
                if not fits[model]:
                    continue
                s = scores[model]
                lowest, highest = np.inf, -np.inf
                for i in range(size):
                    value = s[kept[i]]
                    X[i, shared] = value
                    lowest, highest = min(lowest, value), max(highest, value)
                if lowest == highest:
                    continue
                beta = full[model].copy()
                for a in range(shared):
                    beta[a] += alone[a] - base[a]
                information = np.zeros((shared + 1, shared + 1))
                code = _newton(
                    X, dies, begin, fresh, weight, beta, max_iterations, settled, settled,
                    information,
                )[0]  # fmt: skip
                if code != CONVERGED:
                    continue
            lowest, highest = np.inf, -np.inf
            for row in range(rows):
                value = 0.0
                for a in range(shared):
                    value += fixed[row, a] * beta[a]
                if model >= 0:
                    value += scores[model, row] * beta[shared]
                risk[row] = value
                lowest, highest = min(lowest, value), max(highest, value)
            among_rows, among_counted = _higher_risk(
                risk, before, deaths, count, same * (highest - lowest)
            )
            if pairs > 0:
                out[sample, model + 1, 1] = among_rows / (2.0 * pairs)
            if drawn > 0:
                out[sample, model + 1, 0] = among_counted / (2.0 * drawn)
    return out
