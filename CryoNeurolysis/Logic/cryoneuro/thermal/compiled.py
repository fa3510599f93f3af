"""Compiled stepping of the fine box and the coarse grid. Loaded only where numba is installed.

Two rates: tissue that is frozen through conducts up to ten times faster than unfrozen tissue, so the rows that hold
it (and the voxels linked to a probe) take several small steps inside each step of the rest, and hand over the mean of
what they were, so that both sides of a face book the same heat. Faces and links conduct by the temperatures at the
beginning of a large step. Everything runs on one thread, so a result never depends on how many there are; several runs go side
by side because the interpreter's lock is released.
"""

from __future__ import annotations

from typing import Any

import numpy as np

try:
    import numba
    from numba.core.compiler import CompilerBase, DefaultPassBuilder
except ImportError as error:  # pragma: no cover
    raise ImportError("The compiled solver needs numba; the plain one needs nothing.") from error

F = np.float32
U = np.uintp
ONE = U(1)
FAST = {"contract", "reassoc", "nsz", "arcp", "nnan", "ninf"}
WATCHED_BELOW_C = F(0.5)
LANES = 16
"""Voxels are stepped in blocks of this many along i, so that every block is whole vectors."""
WIDE = U(LANES)
COLDEST_EVERY = 8
STEER_S, RELAX = 5.0, 0.4
"""Over how long a time what a probe of limited power took too much or too little is made up for."""


class _NoAlias(CompilerBase):
    """Tells the compiler that the arrays of one call never overlap, without which it will not vectorise."""

    def define_pipelines(self) -> list[Any]:
        self.state.flags.noalias = True
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]


def _kernel(function: Any) -> Any:
    return numba.njit(
        function, pipeline_class=_NoAlias, fastmath=FAST, error_model="numpy", cache=True, inline="never", nogil=True
    )


def _driver(function: Any) -> Any:
    return numba.njit(function, error_model="numpy", cache=True, nogil=True)


def _inlined(function: Any) -> Any:
    return numba.njit(function, inline="always", fastmath=FAST, error_model="numpy")


@_inlined
def _mean(one, other, liquidus, span, u, e, d):
    """Conductance between two temperatures (conductance.py)."""
    half, two, zero = F(0.5), F(2.0), F(0.0)
    away = max(half * abs(one - other), F(0.05))
    low = liquidus - half * (one + other) + away
    high = low - two * away
    low_mush, high_mush = min(max(low, zero), span), min(max(high, zero), span)
    low_deep, high_deep = max(low - span, zero), max(high - span, zero)
    share = half * (low_mush * low_mush - high_mush * high_mush) / span + (low_deep - high_deep)
    depth = half * (low_deep * low_deep - high_deep * high_deep)
    return u + (e * share + d * depth) / (two * away)


@_kernel
def _conductances(nk, nj, lo, hi, sj, sk, T, tl, w, ux, uy, uz, ex, ey, ez, dx, dy, dz, cx, cy, cz):
    """What every face of the voxels [lo, hi) of each row conducts at the temperatures on its sides."""
    half = F(0.5)
    for k in range(nk):
        for j in range(nj):
            a, b = lo[k, j], hi[k, j]
            if a >= b:
                continue
            start, n = U(k + 1) * sk + U(j + 1) * sj + U(a), U(b - a)
            for i in range(n + ONE):
                p = start + i - ONE
                q = p + ONE
                cx[p] = _mean(T[p], T[q], half * (tl[p] + tl[q]), half * (w[p] + w[q]), ux[p], ex[p], dx[p])
            for i in range(n):
                p = start + i
                q = p + sj
                cy[p] = _mean(T[p], T[q], half * (tl[p] + tl[q]), half * (w[p] + w[q]), uy[p], ey[p], dy[p])
            for i in range(n):
                p = start + i
                q = p + sk
                cz[p] = _mean(T[p], T[q], half * (tl[p] + tl[q]), half * (w[p] + w[q]), uz[p], ez[p], dz[p])
            # Faces to the rows before belong to those rows, which do them where they are cold themselves.
            if j == 0 or lo[k, j - 1] > a or hi[k, j - 1] < b:
                for i in range(n):
                    q = start + i
                    p = q - sj
                    cy[p] = _mean(T[p], T[q], half * (tl[p] + tl[q]), half * (w[p] + w[q]), uy[p], ey[p], dy[p])
            if k == 0 or lo[k - 1, j] > a or hi[k - 1, j] < b:
                for i in range(n):
                    q = start + i
                    p = q - sk
                    cz[p] = _mean(T[p], T[q], half * (tl[p] + tl[q]), half * (w[p] + w[q]), uz[p], ez[p], dz[p])


@_kernel
def _fastest_rows(nk, nj, lo, hi, sj, sk, T, cx, cy, cz, iu, if_, tl, w, ga):
    """Largest rate at which a voxel of rows that may freeze through follows its neighbors, 1/s."""
    one, zero = F(1.0), F(0.0)
    most = zero
    for k in range(nk):
        for j in range(nj):
            start = U(k + 1) * sk + U(j + 1) * sj + U(lo[k, j])
            for i in range(U(hi[k, j] - lo[k, j])):
                p = start + i
                total = cx[p] + cx[p - ONE] + cy[p] + cy[p - sj] + cz[p] + cz[p - sk]
                # A little colder than it is, for it may become so within the step.
                depth = max(tl[p] - w[p] - T[p] + F(10.0), zero)
                most = max(most, total * max(iu[p], if_[p] / max(one - ga[p] * depth, F(0.1))))
    return most


@_kernel
def _fast_rows(nk, nj, lo, hi, linked, l_lo, l_hi, sj, sk, dt, H, T0, T1, A, cx, cy, cz, iu, im, if_, M, tl, ga):
    """One small step of the blocks of frozen rows that no probe touches; A sums up what they were."""
    one, two, zero = F(1.0), F(2.0), F(0.0)
    for k in range(nk):
        for j in range(nj):
            a, b = lo[k, j], hi[k, j]
            if a >= b:
                continue
            here = linked[k, j]
            off = U(k + 1) * sk + U(j + 1) * sj + U(a)
            for c in range(U((b - a) // LANES)):
                block = off + c * WIDE
                first = a + LANES * int(c)
                if here and first < l_hi[k, j] and first + LANES > l_lo[k, j]:
                    continue
                for i in range(WIDE):
                    p = block + i
                    t = T0[p]
                    r = cx[p] * (T0[p + ONE] - t) + cx[p - ONE] * (T0[p - ONE] - t)
                    r += cy[p] * (T0[p + sj] - t) + cy[p - sj] * (T0[p - sj] - t)
                    r += cz[p] * (T0[p + sk] - t) + cz[p - sk] * (T0[p - sk] - t)
                    A[p] += t
                    h = H[p] + dt * r
                    H[p] = h
                    m = M[p]
                    x = max(-m - h, zero) * if_[p]
                    d = two * x / (one + np.sqrt(max(one - two * ga[p] * x, F(0.01))))
                    T1[p] = tl[p] + max(h, zero) * iu[p] + min(max(h, -m), zero) * im[p] - d


@_kernel
def _linked_rows(
    nk, nj, lo, hi, linked, l_lo, l_hi, sj, sk, dt, H, T0, T1, A, cx, cy, cz, iu, im, if_, M, tl, ga, L, Tp, Hp, Q, body
):  # fmt: skip
    """The same where a probe is near: its link is taken point-implicitly, with the heat capacity up to the probe's
    temperature, so that no step can overshoot it. Q sums up what the probe took, J/m3."""
    one, two, zero = F(1.0), F(2.0), F(0.0)
    for k in range(nk):
        for j in range(nj):
            a, b = lo[k, j], hi[k, j]
            if a >= b or not linked[k, j]:
                continue
            off = U(k + 1) * sk + U(j + 1) * sj + U(a)
            for c in range(U((b - a) // LANES)):
                block = off + c * WIDE
                first = a + LANES * int(c)
                if first >= l_hi[k, j] or first + LANES <= l_lo[k, j]:
                    continue
                for i in range(WIDE):
                    p = block + i
                    t = T0[p]
                    r = cx[p] * (T0[p + ONE] - t) + cx[p - ONE] * (T0[p - ONE] - t)
                    r += cy[p] * (T0[p + sj] - t) + cy[p - sj] * (T0[p - sj] - t)
                    r += cz[p] * (T0[p + sk] - t) + cz[p - sk] * (T0[p - sk] - t)
                    A[p] += t
                    gap = Tp[p] - t
                    # Links that give heat back belong to a field that is cold already; before it is they wait.
                    ready = min(max((body - t) / max(F(0.1) * (body - Tp[p]), one), zero), one)
                    strength = L[p] * ready if L[p] < zero else L[p]
                    before = H[p]
                    heat = Hp[p] - before
                    wide = abs(gap) > F(0.01) and abs(heat) > F(1e3)
                    inverse = gap / heat if wide else if_[p]
                    h = before + dt * (r + strength * gap) / (one + dt * max(strength, zero) * inverse)
                    Q[p] += dt * r - (h - before)
                    H[p] = h
                    m = M[p]
                    x = max(-m - h, zero) * if_[p]
                    d = two * x / (one + np.sqrt(max(one - two * ga[p] * x, F(0.01))))
                    T1[p] = tl[p] + max(h, zero) * iu[p] + min(max(h, -m), zero) * im[p] - d


@_kernel
def _sources(nk, nj, lo, hi, sj, sk, dt, H, T, W, P, E, S, iu, tl):
    """Perfusion and exchange of the frozen rows, once in every large step."""
    one, zero = F(1.0), F(0.0)
    for k in range(nk):
        for j in range(nj):
            a, b = lo[k, j], hi[k, j]
            if a >= b:
                continue
            off = U(k + 1) * sk + U(j + 1) * sj + U(a)
            for c in range(U((b - a) // LANES)):
                block = off + c * WIDE
                for i in range(WIDE):
                    p = block + i
                    t = T[p]
                    warm = t >= tl[p]
                    flow = W[p] if warm else zero
                    made = P[p] if warm else zero
                    e = E[p]
                    H[p] += dt * (made - flow * t + S[p] - e * t) / (one + dt * (flow + e) * iu[p])


@_kernel
def _slow_rows(nk, nj, ni, touched, lo, hi, sj, sk, dt, H, T0, T1, cx, cy, cz, iu, im, if_, M, tl, ga, W, P, E, S):
    """One large step of the rows that may be freezing; what lies in [lo, hi) is stepped fast and left alone."""
    one, two, zero = F(1.0), F(2.0), F(0.0)
    for k in range(nk):
        for j in range(nj):
            if not touched[k, j]:
                continue
            row = U(k + 1) * sk + U(j + 1) * sj
            skip_from, skip_to = row + U(lo[k, j]), row + U(hi[k, j])
            for c in range(U(ni // LANES)):
                block = row + ONE + c * WIDE
                if block >= skip_from and block + WIDE <= skip_to:
                    continue
                for i in range(WIDE):
                    p = block + i
                    t = T0[p]
                    r = cx[p] * (T0[p + ONE] - t) + cx[p - ONE] * (T0[p - ONE] - t)
                    r += cy[p] * (T0[p + sj] - t) + cy[p - sj] * (T0[p - sj] - t)
                    r += cz[p] * (T0[p + sk] - t) + cz[p - sk] * (T0[p - sk] - t)
                    warm = t >= tl[p]
                    flow = W[p] if warm else zero
                    made = P[p] if warm else zero
                    e = E[p]
                    before = H[p]
                    # Blood and exchange act after conduction, so that both sides of a face book the same heat.
                    h = before + dt * r
                    h += dt * (made - flow * t + S[p] - e * t) / (one + dt * (flow + e) * iu[p])
                    m = M[p]
                    x = max(-m - h, zero) * if_[p]
                    d = two * x / (one + np.sqrt(max(one - two * ga[p] * x, F(0.01))))
                    H[p] = before if p >= skip_from and p < skip_to else h
                    T1[p] = tl[p] + max(h, zero) * iu[p] + min(max(h, -m), zero) * im[p] - d


@_kernel
def _warm_rows(nk, nj, ni, touched, woken, sj, sk, dt, T0, T1, ax, ay, az, iu, loss, supply):
    """One large step of the rows with no ice in them or beside them, in temperature alone; says which are no longer warm."""
    one = F(1.0)
    for k in range(nk):
        for j in range(nj):
            woken[k, j] = False
            if touched[k, j]:
                continue
            row = U(k + 1) * sk + U(j + 1) * sj + ONE
            least = F(1e30)
            for i in range(U(ni)):
                p = row + i
                t = T0[p]
                r = ax[p] * (T0[p + ONE] - t) + ax[p - ONE] * (T0[p - ONE] - t)
                r += ay[p] * (T0[p + sj] - t) + ay[p - sj] * (T0[p - sj] - t)
                r += az[p] * (T0[p + sk] - t) + az[p - sk] * (T0[p - sk] - t)
                flow = loss[p]
                gain = iu[p]
                t1 = t + dt * (r + supply[p] - flow * t) * gain / (one + dt * flow * gain)
                T1[p] = t1
                least = min(least, t1)
            woken[k, j] = least < WATCHED_BELOW_C


@_kernel
def _wake_row(start, n, H, T, iu, tl):
    """Give a row that was stepped in temperature its enthalpy again."""
    for i in range(n):
        p = start + i
        H[p] = (T[p] - tl[p]) / iu[p]


@_kernel
def _rest_row(start, n, sj, sk, W, P, E, S, loss, supply, ux, uy, uz, cx, cy, cz):
    """What an unfrozen row loses and gains, now that it is left to temperature alone, and conducts."""
    for i in range(n):
        p = start + i
        loss[p] = W[p] + E[p]
        supply[p] = P[p] + S[p]
        cx[p], cy[p], cz[p] = ux[p], uy[p], uz[p]
        cx[p - ONE], cy[p - sj], cz[p - sk] = ux[p - ONE], uy[p - sj], uz[p - sk]


@_kernel
def _book_rows(nk, nj, lo, hi, sj, sk, size, dt, now, T, W, P, stasis, coldest, below, first, iso):
    """What happened to the cold parts of the rows: coldest, time below, first time below, vessels lost."""
    zero = F(0.0)
    for k in range(nk):
        for j in range(nj):
            if lo[k, j] >= hi[k, j]:
                continue
            start, n = U(k + 1) * sk + U(j + 1) * sj + U(lo[k, j]), U(hi[k, j] - lo[k, j])
            for i in range(n):
                p = start + i
                t = T[p]
                coldest[p] = min(coldest[p], t)
                lost = t < stasis[p]
                W[p] = zero if lost else W[p]
                P[p] = zero if lost else P[p]
            for m in range(len(iso)):
                limit = iso[m]
                base = U(m) * size + start
                for i in range(n):
                    cold = T[start + i] <= limit
                    below[base + i] += dt if cold else zero
                    first[base + i] = now if cold and first[base + i] < zero else first[base + i]


@_kernel
def _minimum(n, T, coldest):
    for i in range(n):
        coldest[i] = min(coldest[i], T[i])


@_kernel
def _far_next(n, T1, T, coldest, inflow):
    """Take over the coarse grid's new temperatures."""
    for i in range(n):
        t = T1[i]
        T[i] = t
        coldest[i] = min(coldest[i], t)
        inflow[i] = F(0.0)


@_kernel
def _far_cells(nk, nj, ni, sj, sk, dt, T, T1, ax, ay, az, ic, loss, supply, inflow, free):
    one = F(1.0)
    for k in range(nk):
        for j in range(nj):
            off = U(k + 1) * sk + U(j + 1) * sj + ONE
            for i in range(U(ni)):
                p = off + i
                t = T[p]
                r = ax[p] * (T[p + ONE] - t) + ax[p - ONE] * (T[p - ONE] - t)
                r += ay[p] * (T[p + sj] - t) + ay[p - sj] * (T[p - sj] - t)
                r += az[p] * (T[p + sk] - t) + az[p - sk] * (T[p - sk] - t)
                r += supply[p] - loss[p] * t
                change = (dt * r + inflow[p]) * ic[p] / (one + dt * loss[p] * ic[p])
                T1[p] = t + change * free[p]


@_driver
def _enthalpy(t, tl, span, iu, im, if_, ga):
    above = t - tl
    d = max(-span - above, F(0.0))
    return max(above, F(0.0)) / iu + min(max(above, -span), F(0.0)) / im - d * (F(1.0) - F(0.5) * ga * d) / if_


@_driver
def _inflows(index, sj, sk, T, cx, cy, cz, R):
    """What conduction brings to every linked voxel as things are, W/m3."""
    for n in range(len(index)):
        p = index[n]
        t = T[p]
        r = cx[p] * (T[p + 1] - t) + cx[p - 1] * (T[p - 1] - t)
        r += cy[p] * (T[p + sj] - t) + cy[p - sj] * (T[p - sj] - t)
        R[n] = r + cz[p] * (T[p + sk] - t) + cz[p - sk] * (T[p - sk] - t)


@_driver
def _foretold(s, first, last, dt, index, u, e, d, R, T, H, iu, im, if_, tl, w, ga):
    """Heat that one probe would take in a step at a surface temperature, J/m3 summed over its voxels.

    It is what the point-implicit link of _linked_rows takes: all that a voxel loses and gains where the link is strong.
    """
    total = 0.0
    for n in range(first, last):
        p = index[n]
        pull = _mean(s, T[p], tl[p], w[p], u[n], e[n], d[n])
        gap = s - T[p]
        heat = _enthalpy(s, tl[p], w[p], iu[p], im[p], if_[p], ga[p]) - H[p]
        inverse = gap / heat if abs(gap) > F(0.01) and abs(heat) > F(1e3) else if_[p]
        held = dt * max(pull, F(0.0)) * inverse
        total += dt * (R[n] * held - pull * gap) / (F(1.0) + held)
    return total


@_driver
def _limited(target, allowed, first, last, dt, index, u, e, d, R, T, H, iu, im, if_, tl, w, ga):
    """The coldest surface, not below the target, at which a probe takes no more than is allowed, J/m3."""
    low = target
    over = _foretold(low, first, last, dt, index, u, e, d, R, T, H, iu, im, if_, tl, w, ga) - allowed
    if over <= 0.0:
        return target
    high = target
    for n in range(first, last):
        high = max(high, T[index[n]])
    under = _foretold(high, first, last, dt, index, u, e, d, R, T, H, iu, im, if_, tl, w, ga) - allowed
    if under >= 0.0:
        return high
    for c in range(12):
        # Regula falsi, with bisection now and then.
        middle = F(0.5) * (low + high) if c % 3 == 2 else F(low + (high - low) * over / (over - under))
        value = _foretold(middle, first, last, dt, index, u, e, d, R, T, H, iu, im, if_, tl, w, ga) - allowed
        if value > 0.0:
            low, over = middle, value
        else:
            high, under = middle, value
        if high - low < F(0.01) or abs(value) < 1e-3 * allowed:
            break
    return high


@_kernel
def _pulls(first, last, s, index, u, e, d, T, tl, w, share):
    """Conductance of each link of a probe at its surface temperature and that of its voxel."""
    for n in range(first, last):
        p = index[n]
        share[n] = _mean(s, T[p], tl[p], w[p], u[n], e[n], d[n])


@_kernel
def _goals(count, index, L, Tp, Hp, T, iu, im, if_, tl, w, ga):
    """Enthalpy that goes with what each linked voxel is pulled towards."""
    zero, one = F(0.0), F(1.0)
    for n in range(count):
        p = index[n]
        above = Tp[p] - tl[p]
        deep = max(-w[p] - above, zero)
        frozen = deep * (one - F(0.5) * ga[p] * deep) / if_[p]
        Hp[p] = max(above, zero) / iu[p] + min(max(above, -w[p]), zero) / im[p] - frozen


@_driver
def _drive(surfaces, starts, index, u, e, d, T, iu, im, if_, tl, w, ga, L, Tp, Hp, share):
    """Set what the links pull towards; share: (N,) part of a voxel's pull that is the probe's."""
    for n in range(len(index)):
        L[index[n]] = Tp[index[n]] = F(0.0)
    for q in range(len(surfaces)):
        s = surfaces[q]
        first, last = starts[q], starts[q + 1]
        if np.isnan(s):
            share[first:last] = F(0.0)
            continue
        _pulls(U(first), U(last), s, index, u, e, d, T, tl, w, share)
        for n in range(first, last):
            p = index[n]
            L[p] += share[n]
            Tp[p] += share[n] * s
    for n in range(len(index)):
        p = index[n]
        share[n] = share[n] / L[p] if abs(L[p]) > F(1e-6) else F(0.0)
        Hp[p] = F(np.nan)
    for n in range(len(index)):
        p = index[n]
        if np.isnan(Hp[p]):
            # A voxel that several probes link comes several times.
            Tp[p] = Tp[p] / L[p] if abs(L[p]) > F(1e-6) else T[p]
            Hp[p] = F(0.0)
    _goals(U(len(index)), index, L, Tp, Hp, T, iu, im, if_, tl, w, ga)


@_driver
def _settle(power, dt, volume, told, starts, index, share, Q, steer):
    """Learn from what each probe of limited power took in a step: by what factor it was foretold wrong (steer[:, 0]), and
    how much it has taken beyond its power so far, J (steer[:, 1]); a little too little may be made up for. steer[:, 2]
    is its last surface temperature."""
    for q in range(len(power)):
        if power[q] == np.inf:
            continue
        taken = 0.0
        for n in range(starts[q], starts[q + 1]):
            taken += Q[index[n]] * share[n]
        taken *= volume
        steer[q, 1] = max(steer[q, 1] + taken - power[q] * dt, -STEER_S * power[q])
        if told[q] > 0.0 and taken > 0.0:
            ratio = taken / (told[q] * volume * steer[q, 0])
            steer[q, 0] = min(max(steer[q, 0] * (0.7 + 0.3 * ratio), 0.2), 5.0)


@_driver
def _extent(row, n, T, limit, lo, hi, whole):
    """First and one past the last voxel of a row under its limit, looked for from where they were or in the whole row."""
    a, b = lo, hi
    if a < b and not whole:
        a = max(1, a - 2)
        b = min(n + 1, b + 2)
    else:
        a, b = 1, n + 1
    while a < b and T[row + a] >= limit[row + a]:
        a += 1
    while b > a and T[row + b - 1] >= limit[row + b - 1]:
        b -= 1
    return (a, b) if a < b else (0, 0)


@_kernel
def _copy_rows(nk, nj, lo, hi, sj, sk, A, B):
    for k in range(nk):
        for j in range(nj):
            start = U(k + 1) * sk + U(j + 1) * sj + U(lo[k, j])
            for i in range(U(hi[k, j] - lo[k, j])):
                B[start + i] = A[start + i]


@_kernel
def _scale_rows(nk, nj, lo, hi, sj, sk, factor, A, B):
    """B = factor A in the fast rows."""
    for k in range(nk):
        for j in range(nj):
            start = U(k + 1) * sk + U(j + 1) * sj + U(lo[k, j])
            for i in range(U(hi[k, j] - lo[k, j])):
                B[start + i] = factor * A[start + i]


@_driver
def _seam(nk, nj, ni, sj, sk, dt, T, ax, ay, az, ck, cj, ci, tj, tk, inflow):
    """Book the heat through the sides of the fine box; (ck, cj, ci) is its first coarse cell, ghosts counted."""
    w = dt / F(8.0)
    for k in range(nk):
        for j in range(nj):
            row = (k + 1) * sk + (j + 1) * sj
            coarse = (ck + k // 2) * tk + (cj + j // 2) * tj
            inflow[coarse + ci - 1] -= w * ax[row] * (T[row] - T[row + 1])
            inflow[coarse + ci + ni // 2] -= w * ax[row + ni] * (T[row + ni + 1] - T[row + ni])
    for k in range(nk):
        for i in range(ni):
            low = (k + 1) * sk + i + 1
            high = low + nj * sj
            coarse = (ck + k // 2) * tk + ci + i // 2
            inflow[coarse + (cj - 1) * tj] -= w * ay[low] * (T[low] - T[low + sj])
            inflow[coarse + (cj + nj // 2) * tj] -= w * ay[high] * (T[high + sj] - T[high])
    for j in range(nj):
        for i in range(ni):
            low = (j + 1) * sj + i + 1
            high = low + nk * sk
            coarse = (cj + j // 2) * tj + ci + i // 2
            inflow[coarse + (ck - 1) * tk] -= w * az[low] * (T[low] - T[low + sk])
            inflow[coarse + (ck + nk // 2) * tk] -= w * az[high] * (T[high + sk] - T[high])


@_driver
def _restrict_cell(p, sj, sk, T, live, old):
    total, weight = F(0.0), F(0.0)
    for k in range(2):
        for j in range(2):
            for i in range(2):
                q = p + k * sk + j * sj + i
                total += T[q] * live[q]
                weight += live[q]
    return total / weight if weight > 0 else old


@_driver
def _ghost_value(k, j, i, tj, tk, far, active, body):
    """Trilinear coarse temperature at fine voxel (k, j, i) of the whole grid; -1 and beyond are allowed."""
    total, share = F(0.0), F(0.0)
    ck, cj, ci = (k + 2) // 2, (j + 2) // 2, (i + 2) // 2
    dk = 1 if k % 2 else -1
    dj = 1 if j % 2 else -1
    di = 1 if i % 2 else -1
    for a in range(2):
        wa = F(0.75) if a == 0 else F(0.25)
        for b in range(2):
            wb = F(0.75) if b == 0 else F(0.25)
            for c in range(2):
                p = (ck + a * dk) * tk + (cj + b * dj) * tj + ci + c * di
                w = wa * wb * (F(0.75) if c == 0 else F(0.25)) * active[p]
                total += w * far[p]
                share += w
    return total / share if share > F(1e-6) else body


@_driver
def _ghosts(nk, nj, ni, sj, sk, T, live, fk, fj, fi, tj, tk, far, active, body):
    """Means of the voxels just inside the seam to the coarse grid, then the ghosts from it; (fk, fj, fi) is the box."""
    ck, cj, ci = fk // 2 + 1, fj // 2 + 1, fi // 2 + 1
    mk, mj, mi = nk // 2, nj // 2, ni // 2
    for k in range(mk):
        for j in range(mj):
            edge = k == 0 or k == mk - 1 or j == 0 or j == mj - 1
            step = 1 if edge else max(mi - 1, 1)
            for i in range(0, mi, step):
                p = (2 * k + 1) * sk + (2 * j + 1) * sj + 2 * i + 1
                c = (ck + k) * tk + (cj + j) * tj + ci + i
                far[c] = _restrict_cell(p, sj, sk, T, live, far[c])
    for k in range(nk):
        for j in range(nj):
            row = (k + 1) * sk + (j + 1) * sj
            T[row] = _ghost_value(fk + k, fj + j, fi - 1, tj, tk, far, active, body)
            T[row + ni + 1] = _ghost_value(fk + k, fj + j, fi + ni, tj, tk, far, active, body)
        for i in range(ni):
            row = (k + 1) * sk + i + 1
            T[row] = _ghost_value(fk + k, fj - 1, fi + i, tj, tk, far, active, body)
            T[row + (nj + 1) * sj] = _ghost_value(fk + k, fj + nj, fi + i, tj, tk, far, active, body)
    for j in range(nj):
        for i in range(ni):
            row = (j + 1) * sj + i + 1
            T[row] = _ghost_value(fk - 1, fj + j, fi + i, tj, tk, far, active, body)
            T[row + (nk + 1) * sk] = _ghost_value(fk + nk, fj + j, fi + i, tj, tk, far, active, body)


@_driver
def _spans(nk, nj, ni, on, s_lo, s_hi, l_lo, l_hi, lo, hi, linked, d_lo, d_hi):
    """Rows of voxels to be stepped fast: what is solid and one voxel round it, and what is linked to a probe.

    d_lo, d_hi: the same and one voxel round it. Returns (anything at all, anything at the box's own border).
    """
    found, border = False, False
    for k in range(nk):
        for j in range(nj):
            a, b = ni + 2, 0
            if s_lo[k, j] < s_hi[k, j]:
                a, b = s_lo[k, j] - 1, s_hi[k, j] + 1
            for n in range(4):
                q = k + (1 if n == 0 else -1 if n == 1 else 0)
                r = j + (1 if n == 2 else -1 if n == 3 else 0)
                if 0 <= q < nk and 0 <= r < nj and s_lo[q, r] < s_hi[q, r]:
                    a, b = min(a, s_lo[q, r]), max(b, s_hi[q, r])
            # What a probe is linked to goes with the ice also while the probe is off: its faces may conduct very well.
            linked[k, j] = on and l_lo[k, j] < l_hi[k, j]
            if l_lo[k, j] < l_hi[k, j]:
                a, b = min(a, l_lo[k, j]), max(b, l_hi[k, j])
            a, b = max(a, 1), min(b, ni + 1)
            if a < b:
                found = True
                b = a + (b - a + LANES - 1) // LANES * LANES
                if b > ni + 1:
                    a, b = a - (b - ni - 1), ni + 1
                lo[k, j], hi[k, j] = a, b
                if k == 0 or j == 0 or k == nk - 1 or j == nj - 1:
                    border = True
            else:
                lo[k, j], hi[k, j] = 0, 0
    for k in range(nk):
        for j in range(nj):
            a, b = ni + 2, 0
            if lo[k, j] < hi[k, j]:
                a, b = lo[k, j] - 1, hi[k, j] + 1
            for n in range(4):
                q = k + (1 if n == 0 else -1 if n == 1 else 0)
                r = j + (1 if n == 2 else -1 if n == 3 else 0)
                if 0 <= q < nk and 0 <= r < nj and lo[q, r] < hi[q, r]:
                    a, b = min(a, lo[q, r]), max(b, hi[q, r])
            d_lo[k, j], d_hi[k, j] = (a, b) if a < b else (0, 0)
    return found, border


@_driver
def _copy_shell(nk, nj, ni, sj, sk, A, B):
    for k in range(nk + 2):
        for j in range(nj + 2):
            row = k * sk + j * sj
            if k == 0 or k == nk + 1 or j == 0 or j == nj + 1:
                for i in range(ni + 2):
                    B[row + i] = A[row + i]
            else:
                B[row] = A[row]
                B[row + ni + 1] = A[row + ni + 1]


@_driver
def advance(
    shape, steps, dt, t0, since_far, margin, open_sides,
    X, Y, Z, A, H, cx, cy, cz, ux, uy, uz, ex, ey, ez, dx, dy, dz, iu, im, if_, M, tl, w, solid, soon, watch, ga,
    W, P, E, SE, loss, supply, stasis, coldest, below, first, iso, live,
    c_lo, c_hi, s_lo, s_hi, l_lo, l_hi, f_lo, f_hi, lo, hi, linked, d_lo, d_hi, touched, woken, resting,
    targets, power, volume, steer, starts, index, u, e, d, L, Tp, Hp, Q, R, share, surfaces,
    has_far, far_every, box, far_shape, far, far1, fx, fy, fz, fic, floss, fsupply, inflow, free, factive, far_cold, body,
):  # fmt: skip
    """Take up to `steps` large steps of dt seconds, each with as many small ones where it is frozen as are stable.

    Returns the number of steps taken; fewer when the ice came within `margin` voxels of a side of the box that can
    still be moved (open_sides), so that the caller makes the box larger.
    """
    nk, nj, ni = shape
    sj, sk = ni + 2, (ni + 2) * (nj + 2)
    usj, usk = U(sj), U(sk)
    size = U(sk * (nk + 2))
    dt32 = F(dt)
    odd = False
    done = 0
    freezing = False
    probes = targets.shape[1]
    told = np.zeros(probes)
    for q in range(probes):
        freezing = freezing or not np.isnan(targets[0, q])
    # Beside a probe that is on, tissue at the end of its freezing range is frozen through within a step: it goes with
    # the ice from the start.
    limit = soon if freezing else solid
    for k in range(nk):
        for j in range(nj):
            row = (k + 1) * sk + (j + 1) * sj
            s_lo[k, j], s_hi[k, j] = 0, 0
            if c_lo[k, j] < c_hi[k, j]:
                s_lo[k, j], s_hi[k, j] = _extent(row, ni, X, limit, c_lo[k, j], c_hi[k, j], True)
    for s in range(steps):
        on = False
        for q in range(probes):
            surfaces[q] = targets[s, q]
            on = on or not np.isnan(targets[s, q])
            if np.isnan(targets[s, q]):
                steer[q, 2] = np.nan
        for k in range(nk):
            for j in range(nj):
                # What was cold a step ago is looked at once more.
                a, b = c_lo[k, j], c_hi[k, j]
                if f_lo[k, j] < f_hi[k, j]:
                    a = min(a, f_lo[k, j]) if a < b else f_lo[k, j]
                    b = max(b, f_hi[k, j])
                lo[k, j], hi[k, j] = a, b
                f_lo[k, j], f_hi[k, j] = c_lo[k, j], c_hi[k, j]
        _conductances(nk, nj, lo, hi, usj, usk, X, tl, w, ux, uy, uz, ex, ey, ez, dx, dy, dz, cx, cy, cz)
        if on:
            limited = False
            for q in range(probes):
                limited = limited or (power[q] < np.inf and not np.isnan(surfaces[q]))
            if limited:
                _inflows(index, sj, sk, X, cx, cy, cz, R)
                for q in range(probes):
                    if power[q] < np.inf and not np.isnan(surfaces[q]):
                        # What was taken too much is given up over a while, not in one step.
                        allowed = max(power[q] - steer[q, 1] / max(STEER_S, dt), 0.0) * dt / (volume * steer[q, 0])
                        surfaces[q] = _limited(
                            surfaces[q], allowed, starts[q], starts[q + 1], dt32, index, u, e, d, R, X, H, iu, im, if_, tl, w, ga
                        )  # fmt: skip
                        # Conduction answers within the step, which the foretelling does not know: go part of the way.
                        if not np.isnan(steer[q, 2]):
                            surfaces[q] = max(targets[s, q], F(steer[q, 2] + RELAX * (surfaces[q] - steer[q, 2])))
                        steer[q, 2] = surfaces[q]
                        told[q] = _foretold(
                            surfaces[q], starts[q], starts[q + 1], dt32, index, u, e, d, R, X, H, iu, im, if_, tl, w, ga
                        )  # fmt: skip
            _drive(surfaces, starts, index, u, e, d, X, iu, im, if_, tl, w, ga, L, Tp, Hp, share)
            for n in range(len(index)):
                Q[index[n]] = F(0.0)
        found, border = _spans(nk, nj, ni, on, s_lo, s_hi, l_lo, l_hi, lo, hi, linked, d_lo, d_hi)
        for k in range(nk):
            for j in range(nj):
                near = c_lo[k, j] < c_hi[k, j] or lo[k, j] < hi[k, j]
                for n in range(4):
                    q = k + (1 if n == 0 else -1 if n == 1 else 0)
                    r = j + (1 if n == 2 else -1 if n == 3 else 0)
                    if 0 <= q < nk and 0 <= r < nj:
                        near = near or c_lo[q, r] < c_hi[q, r] or lo[q, r] < hi[q, r]
                touched[k, j] = near
                row = U((k + 1) * sk + (j + 1) * sj + 1)
                if near and resting[k, j]:
                    _wake_row(row, U(ni), H, X, iu, tl)
                    resting[k, j] = False
                elif not near and not resting[k, j]:
                    _rest_row(row, U(ni), usj, usk, W, P, E, SE, loss, supply, ux, uy, uz, cx, cy, cz)
                    resting[k, j] = True
        if found:
            rate = _fastest_rows(nk, nj, lo, hi, usj, usk, X, cx, cy, cz, iu, if_, tl, w, ga)
            small = max(1, int(np.ceil(dt * rate / 0.95)))
            quick = F(dt / small)
            if border:
                Z[:] = X
            else:
                _copy_rows(nk, nj, d_lo, d_hi, usj, usk, X, Z)
            _scale_rows(nk, nj, lo, hi, usj, usk, F(0.0), X, A)
            _sources(nk, nj, lo, hi, usj, usk, dt32, H, X, W, P, E, SE, iu, tl)
            for c in range(small):
                if c % 2 == 0:
                    _fast_rows(nk, nj, lo, hi, linked, l_lo, l_hi, usj, usk, quick, H, X, Z, A, cx, cy, cz, iu, im, if_, M, tl, ga)  # fmt: skip
                    if on:
                        _linked_rows(nk, nj, lo, hi, linked, l_lo, l_hi, usj, usk, quick, H, X, Z, A, cx, cy, cz, iu, im, if_, M, tl, ga, L, Tp, Hp, Q, body)  # fmt: skip
                else:
                    _fast_rows(nk, nj, lo, hi, linked, l_lo, l_hi, usj, usk, quick, H, Z, X, A, cx, cy, cz, iu, im, if_, M, tl, ga)  # fmt: skip
                    if on:
                        _linked_rows(nk, nj, lo, hi, linked, l_lo, l_hi, usj, usk, quick, H, Z, X, A, cx, cy, cz, iu, im, if_, M, tl, ga, L, Tp, Hp, Q, body)  # fmt: skip
            if small % 2 == 0:
                _copy_rows(nk, nj, lo, hi, usj, usk, X, Z)
            _scale_rows(nk, nj, lo, hi, usj, usk, F(1.0 / small), A, X)
        _slow_rows(
            nk, nj, ni, touched, lo, hi, usj, usk, dt32, H, X, Y, cx, cy, cz, iu, im, if_, M, tl, ga, W, P, E, SE
        )
        _warm_rows(nk, nj, ni, touched, woken, usj, usk, dt32, X, Y, cx, cy, cz, iu, loss, supply)
        for k in range(nk):
            for j in range(nj):
                touched[k, j] = touched[k, j] or woken[k, j]
        if found:
            _copy_rows(nk, nj, lo, hi, usj, usk, Z, Y)
        if on:
            _settle(power, dt, volume, told, starts, index, share, Q, steer)
        if has_far:
            _seam(
                nk, nj, ni, sj, sk, dt32, X, cx, cy, cz, box[0] // 2 + 1, box[1] // 2 + 1, box[2] // 2 + 1,
                far_shape[2], far_shape[1] * far_shape[2], inflow,
            )  # fmt: skip
            since_far += dt
        X, Y = Y, X
        odd = not odd
        done = s + 1
        now = F(t0 + done * dt)
        everything = done % COLDEST_EVERY == 0 or done == steps
        grow = False
        for k in range(nk):
            for j in range(nj):
                row = (k + 1) * sk + (j + 1) * sj
                if touched[k, j]:
                    c_lo[k, j], c_hi[k, j] = _extent(row, ni, X, watch, c_lo[k, j], c_hi[k, j], everything)
                    a, b = c_lo[k, j], c_hi[k, j]
                    if a < b:
                        s_lo[k, j], s_hi[k, j] = _extent(row, ni, X, limit, s_lo[k, j], s_hi[k, j], everything)
                        grow = grow or (
                            (open_sides[0] and k < margin) or (open_sides[1] and k >= nk - margin)
                            or (open_sides[2] and j < margin) or (open_sides[3] and j >= nj - margin)
                            or (open_sides[4] and a <= margin) or (open_sides[5] and b > ni + 1 - margin)
                        )  # fmt: skip
                    else:
                        s_lo[k, j] = s_hi[k, j] = 0
        _book_rows(nk, nj, c_lo, c_hi, usj, usk, size, dt32, now, X, W, P, stasis, coldest, below, first, iso)
        if everything:
            _minimum(size, X, coldest)
        if has_far and (done % far_every == 0 or done == steps or grow):
            mk, mj, mi = far_shape
            tj, tk = U(mi), U(mi * mj)
            _far_cells(
                mk - 2, mj - 2, mi - 2, tj, tk, F(since_far), far, far1, fx, fy, fz, fic, floss, fsupply, inflow, free
            )
            _far_next(U(len(far)), far1, far, far_cold, inflow)
            since_far = 0.0
            _ghosts(nk, nj, ni, sj, sk, X, live, box[0], box[1], box[2], mi, mi * mj, far, factive, body)
            _copy_shell(nk, nj, ni, sj, sk, X, Y)
        if grow:
            break
    for k in range(nk):
        for j in range(nj):
            if resting[k, j]:
                _wake_row(U((k + 1) * sk + (j + 1) * sj + 1), U(ni), H, X, iu, tl)
    if odd:
        Y[:] = X
    return done
