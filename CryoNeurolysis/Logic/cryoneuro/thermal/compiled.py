"""Compiled stepping of the fine box and the coarse grid. Loaded only where numba is installed.

Two rates: tissue that is frozen through conducts up to ten times faster than unfrozen tissue, so the rows that hold
it (and the voxels linked to a probe) take several small steps inside each step of the rest, and hand over the mean of
what they were. Everything runs on one thread, so a result never depends on how many there are; several runs go side
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


@_kernel
def _fast_rows(
    nk, nj, lo, hi, linked, l_lo, l_hi, sj, sk, dt, H, T0, G0, T1, G1, ax, ay, az, bx, by, bz, iu, im, if_, M, tl, be, ga
):  # fmt: skip
    """One small step of the blocks of frozen rows that no probe touches."""
    one, half, two, zero = F(1.0), F(0.5), F(2.0), F(0.0)
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
                    t, g = T0[p], G0[p]
                    r = ax[p] * (T0[p + ONE] - t) + bx[p] * (G0[p + ONE] - g)
                    r += ax[p - ONE] * (T0[p - ONE] - t) + bx[p - ONE] * (G0[p - ONE] - g)
                    r += ay[p] * (T0[p + sj] - t) + by[p] * (G0[p + sj] - g)
                    r += ay[p - sj] * (T0[p - sj] - t) + by[p - sj] * (G0[p - sj] - g)
                    r += az[p] * (T0[p + sk] - t) + bz[p] * (G0[p + sk] - g)
                    r += az[p - sk] * (T0[p - sk] - t) + bz[p - sk] * (G0[p - sk] - g)
                    h = H[p] + dt * r
                    H[p] = h
                    m, cm = M[p], im[p]
                    mush = min(max(h, -m), zero) * cm
                    x = max(-m - h, zero) * if_[p]
                    d = two * x / (one + np.sqrt(one - two * ga[p] * x))
                    T1[p] = tl[p] + max(h, zero) * iu[p] + mush - d
                    G1[p] = -(mush * mush * half) / (m * cm) - d * (one + half * be[p] * d)


@_kernel
def _linked_rows(
    nk,
    nj,
    lo,
    hi,
    linked,
    l_lo,
    l_hi,
    sj,
    sk,
    dt,
    H,
    T0,
    G0,
    T1,
    G1,
    ax,
    ay,
    az,
    bx,
    by,
    bz,
    iu,
    im,
    if_,
    M,
    tl,
    be,
    ga,
    Lu,
    Le,
    Du,
    De,
    Hp,
    Tp,
    body,
    floor,
):
    """The same where a probe is near: its link is taken point-implicitly, with the heat capacity up to the probe's
    temperature, so that no step can overshoot it."""
    one, half, two, zero = F(1.0), F(0.5), F(2.0), F(0.0)
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
                    t, g = T0[p], G0[p]
                    r = ax[p] * (T0[p + ONE] - t) + bx[p] * (G0[p + ONE] - g)
                    r += ax[p - ONE] * (T0[p - ONE] - t) + bx[p - ONE] * (G0[p - ONE] - g)
                    r += ay[p] * (T0[p + sj] - t) + by[p] * (G0[p + sj] - g)
                    r += ay[p - sj] * (T0[p - sj] - t) + by[p - sj] * (G0[p - sj] - g)
                    r += az[p] * (T0[p + sk] - t) + bz[p] * (G0[p + sk] - g)
                    r += az[p - sk] * (T0[p - sk] - t) + bz[p - sk] * (G0[p - sk] - g)
                    gap = Tp[p] - t
                    pull = Du[p] - Lu[p] * t + De[p] - Le[p] * g
                    # Links that give heat back belong to a field that is cold already; before it is they wait.
                    ready = min(max((body - t) / max(F(0.1) * (body - Tp[p]), F(1.0)), zero), one)
                    pull = pull * ready if Lu[p] < zero else pull
                    near = abs(gap) > F(0.01)
                    strength = max(pull / (gap if near else one), zero) if near else max(Lu[p] + Le[p], zero)
                    h = H[p]
                    heat = Hp[p] - h
                    wide = abs(heat) > F(1e3)
                    inverse = gap / heat if wide else if_[p]
                    h += dt * (r + pull) / (one + dt * strength * inverse)
                    m, cm = M[p], im[p]
                    x = max(-m - h, zero) * if_[p]
                    d = two * x / (one + np.sqrt(max(one - two * ga[p] * x, F(0.01))))
                    # Nothing gets colder than the coldest probe has been.
                    bounded = min(d, max(tl[p] - m * cm - floor, zero))
                    h = -m - bounded * (one - half * ga[p] * bounded) / if_[p] if d > bounded else h
                    H[p] = h
                    mush = min(max(h, -m), zero) * cm
                    T1[p] = tl[p] + max(h, zero) * iu[p] + mush - bounded
                    G1[p] = -(mush * mush * half) / (m * cm) - bounded * (one + half * be[p] * bounded)


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
def _slow_row(
    start,
    n,
    skip_from,
    skip_to,
    sj,
    sk,
    dt,
    H,
    T0,
    G0,
    T1,
    G1,
    ax,
    ay,
    az,
    bx,
    by,
    bz,
    iu,
    im,
    if_,
    M,
    tl,
    be,
    ga,
    W,
    P,
    E,
    S,
):
    """One large step of a row that may be freezing; what lies between the two indices is stepped fast and left alone."""
    one, half, two, zero = F(1.0), F(0.5), F(2.0), F(0.0)
    for c in range(n // WIDE):
        block = start + c * WIDE
        if block >= skip_from and block + WIDE <= skip_to:
            continue
        for i in range(WIDE):
            p = block + i
            t, g = T0[p], G0[p]
            r = ax[p] * (T0[p + ONE] - t) + bx[p] * (G0[p + ONE] - g)
            r += ax[p - ONE] * (T0[p - ONE] - t) + bx[p - ONE] * (G0[p - ONE] - g)
            r += ay[p] * (T0[p + sj] - t) + by[p] * (G0[p + sj] - g)
            r += ay[p - sj] * (T0[p - sj] - t) + by[p - sj] * (G0[p - sj] - g)
            r += az[p] * (T0[p + sk] - t) + bz[p] * (G0[p + sk] - g)
            r += az[p - sk] * (T0[p - sk] - t) + bz[p - sk] * (G0[p - sk] - g)
            warm = t >= tl[p]
            flow = W[p] if warm else zero
            made = P[p] if warm else zero
            e = E[p]
            r += made - flow * t + S[p] - e * t
            before = H[p]
            h = before + dt * r / (one + dt * (flow + e) * iu[p])
            m, cm = M[p], im[p]
            x = max(-m - h, zero) * if_[p]
            d = two * x / (one + np.sqrt(max(one - two * ga[p] * x, F(0.01))))
            # What freezes through within a large step gets no colder than the coldest beside it.
            low = min(
                min(min(T0[p + ONE], T0[p - ONE]), min(T0[p + sj], T0[p - sj])), min(min(T0[p + sk], T0[p - sk]), t)
            )
            most = max(tl[p] - m * cm - low, zero)
            bounded = min(d, most)
            h = -m - bounded * (one - half * ga[p] * bounded) / if_[p] if d > bounded else h
            H[p] = before if p >= skip_from and p < skip_to else h
            mush = min(max(h, -m), zero) * cm
            T1[p] = tl[p] + max(h, zero) * iu[p] + mush - bounded
            G1[p] = -(mush * mush * half) / (m * cm) - bounded * (one + half * be[p] * bounded)


@_kernel
def _warm_row(start, n, sj, sk, dt, T0, T1, ax, ay, az, iu, loss, supply):
    """One large step of a row with no ice in it or beside it, in temperature alone; returns the lowest."""
    one = F(1.0)
    least = F(1e30)
    for c in range(n // WIDE):
        block = start + c * WIDE
        for i in range(WIDE):
            p = block + i
            t = T0[p]
            r = ax[p] * (T0[p + ONE] - t) + ax[p - ONE] * (T0[p - ONE] - t)
            r += ay[p] * (T0[p + sj] - t) + ay[p - sj] * (T0[p - sj] - t)
            r += az[p] * (T0[p + sk] - t) + az[p - sk] * (T0[p - sk] - t)
            flow = loss[p]
            gain = iu[p]
            t1 = t + dt * (r + supply[p] - flow * t) * gain / (one + dt * flow * gain)
            T1[p] = t1
            least = min(least, t1)
    return least


@_kernel
def _wake_row(start, n, H, T, iu, tl):
    """Give a row that was stepped in temperature its enthalpy again."""
    for i in range(n):
        p = start + i
        H[p] = (T[p] - tl[p]) / iu[p]


@_kernel
def _rest_row(start, n, W, P, E, S, loss, supply):
    """What an unfrozen row loses and gains, now that it is left to temperature alone."""
    for i in range(n):
        p = start + i
        loss[p] = W[p] + E[p]
        supply[p] = P[p] + S[p]


@_kernel
def _book_row(start, n, size, dt, now, T, W, P, stasis, coldest, below, first, iso):
    """What happened to part of a row: coldest, time below, first time below, vessels lost."""
    for i in range(n):
        p = start + i
        t = T[p]
        coldest[p] = min(coldest[p], t)
        lost = t < stasis[p]
        W[p] = F(0.0) if lost else W[p]
        P[p] = F(0.0) if lost else P[p]
    for m in range(len(iso)):
        limit = iso[m]
        base = U(m) * size + start
        for i in range(n):
            cold = T[start + i] <= limit
            below[base + i] += dt if cold else F(0.0)
            first[base + i] = now if cold and first[base + i] < F(0.0) else first[base + i]


@_kernel
def _minimum_row(start, n, T, coldest):
    for i in range(n):
        coldest[start + i] = min(coldest[start + i], T[start + i])


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
def _integral(t, tl, span, be):
    above = t - tl
    mush = min(max(above, -span), F(0.0))
    d = max(-span - above, F(0.0))
    return F(-0.5) * mush * mush / span - d * (F(1.0) + F(0.5) * be * d)


@_driver
def _enthalpy(t, tl, span, iu, im, if_, ga):
    above = t - tl
    d = max(-span - above, F(0.0))
    return max(above, F(0.0)) / iu + min(max(above, -span), F(0.0)) / im - d * (F(1.0) - F(0.5) * ga * d) / if_


@_driver
def _taken(surface, first, last, index, u, e, tells, T, G, M, im, tl, be):
    """Heat that one probe takes at a surface temperature through its telling voxels, W/m3 summed over them."""
    total = 0.0
    for n in range(first, last):
        p = index[n]
        g = _integral(surface, tl[p], M[p] * im[p], be[p])
        total += tells[n] * (u[n] * (T[p] - surface) + e[n] * (G[p] - g))
    return total


@_driver
def _drive(surfaces, power, starts, index, u, e, tells, T, G, H, M, iu, im, if_, tl, be, ga, Lu, Le, Du, De, Hp, Tp):
    """Set what the links pull towards. A probe that cannot take as much heat as its temperature asks stays warmer."""
    for n in range(len(index)):
        p = index[n]
        Lu[p] = Le[p] = Du[p] = De[p] = F(0.0)
    for q in range(len(surfaces)):
        s = surfaces[q]
        if np.isnan(s):
            continue
        if _taken(s, starts[q], starts[q + 1], index, u, e, tells, T, G, M, im, tl, be) > power[q]:
            low, high = s, F(s)
            for n in range(starts[q], starts[q + 1]):
                high = max(high, T[index[n]])
            for _ in range(24):
                middle = F(0.5) * (low + high)
                if _taken(middle, starts[q], starts[q + 1], index, u, e, tells, T, G, M, im, tl, be) > power[q]:
                    low = middle
                else:
                    high = middle
            s = high
        surfaces[q] = s
        for n in range(starts[q], starts[q + 1]):
            p = index[n]
            Lu[p] += u[n]
            Le[p] += e[n]
            Du[p] += u[n] * s
            De[p] += e[n] * _integral(s, tl[p], M[p] * im[p], be[p])
    for n in range(len(index)):
        p = index[n]
        strong = abs(Lu[p]) > F(1e-6)
        t = Du[p] / Lu[p] if strong else T[p]
        Tp[p] = t
        Hp[p] = _enthalpy(t, tl[p], M[p] * im[p], iu[p], im[p], if_[p], ga[p])


@_driver
def _extent(row, n, T, limit, lo, hi):
    """First and one past the last voxel of a row under its limit, looked for from where they were."""
    a, b = lo, hi
    if a < b:
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
def _copy_rows(nk, nj, lo, hi, sj, sk, A, GA, B, GB):
    for k in range(nk):
        for j in range(nj):
            start = U(k + 1) * sk + U(j + 1) * sj + U(lo[k, j])
            for i in range(U(hi[k, j] - lo[k, j])):
                B[start + i] = A[start + i]
                GB[start + i] = GA[start + i]


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
    """Rows of voxels to be stepped fast: what is solid and one voxel round it, and what is linked to a probe that is on.

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
            linked[k, j] = False
            if on and l_lo[k, j] < l_hi[k, j]:
                linked[k, j] = True
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


@_kernel
def _mean_rows(nk, nj, lo, hi, sj, sk, early, late, S, GS, X, GX, Z, GZ):
    """The fast rows' mean over the small steps to X, from how they began (S) and ended (Z)."""
    for k in range(nk):
        for j in range(nj):
            start = U(k + 1) * sk + U(j + 1) * sj + U(lo[k, j])
            for i in range(U(hi[k, j] - lo[k, j])):
                p = start + i
                X[p] = early * S[p] + late * Z[p]
                GX[p] = early * GS[p] + late * GZ[p]


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
    shape, steps, dt, small, t0, since_far, margin, open_sides,
    X, GX, Y, GY, Z, GZ, S, GS, H, ax, ay, az, bx, by, bz, iu, im, if_, M, tl, solid, soon, watch, be, ga,
    W, P, E, SE, loss, supply, stasis, coldest, below, first, iso, live,
    c_lo, c_hi, s_lo, s_hi, l_lo, l_hi, lo, hi, linked, d_lo, d_hi, touched, resting,
    targets, power, starts, index, u, e, tells, Lu, Le, Du, De, Hp, Tp, surfaces,
    has_far, far_every, box, far_shape, far, far1, fx, fy, fz, fic, floss, fsupply, inflow, free, factive, far_cold, body, floor,
):  # fmt: skip
    """Take up to `steps` large steps of dt seconds, each with `small` small ones where it is frozen.

    Returns the number of steps taken; fewer when the ice came within `margin` voxels of a side of the box that can
    still be moved (open_sides), so that the caller makes the box larger.
    """
    nk, nj, ni = shape
    sj, sk = ni + 2, (ni + 2) * (nj + 2)
    usj, usk = U(sj), U(sk)
    size = U(sk * (nk + 2))
    early, late = F((small + 1.0) / (2.0 * small)), F((small - 1.0) / (2.0 * small))
    quick = F(dt / small)
    dt32 = F(dt)
    odd = False
    done = 0
    freezing = False
    for q in range(targets.shape[1]):
        freezing = freezing or not np.isnan(targets[0, q])
    # Beside a probe that is on, tissue at the end of its freezing range is frozen through within a step: it goes with
    # the ice from the start.
    limit = soon if freezing else solid
    held = np.full(len(surfaces), np.nan, np.float32)
    for k in range(nk):
        for j in range(nj):
            row = (k + 1) * sk + (j + 1) * sj
            s_lo[k, j], s_hi[k, j] = 0, 0
            if c_lo[k, j] < c_hi[k, j]:
                s_lo[k, j], s_hi[k, j] = _extent(row, ni, X, limit, c_lo[k, j], c_hi[k, j])
    for s in range(steps):
        on = False
        for q in range(len(surfaces)):
            surfaces[q] = targets[s, q]
            on = on or not np.isnan(targets[s, q])
        moved = s == 0
        for q in range(len(surfaces)):
            same = abs(surfaces[q] - held[q]) < F(0.005) or (np.isnan(surfaces[q]) and np.isnan(held[q]))
            moved = moved or not same or power[q] < np.inf
        if len(index) and moved:
            held[:] = surfaces
            _drive(
                surfaces,
                power,
                starts,
                index,
                u,
                e,
                tells,
                X,
                GX,
                H,
                M,
                iu,
                im,
                if_,
                tl,
                be,
                ga,
                Lu,
                Le,
                Du,
                De,
                Hp,
                Tp,
            )
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
                    _rest_row(row, U(ni), W, P, E, SE, loss, supply)
                    resting[k, j] = True
        if found:
            if border:
                Z[:] = X
                GZ[:] = GX
            else:
                _copy_rows(nk, nj, d_lo, d_hi, usj, usk, X, GX, Z, GZ)
            _copy_rows(nk, nj, lo, hi, usj, usk, X, GX, S, GS)
            _sources(nk, nj, lo, hi, usj, usk, dt32, H, X, W, P, E, SE, iu, tl)
            for c in range(small):
                if c % 2 == 0:
                    _fast_rows(nk, nj, lo, hi, linked, l_lo, l_hi, usj, usk, quick, H, X, GX, Z, GZ, ax, ay, az, bx, by, bz, iu, im, if_, M, tl, be, ga)  # fmt: skip
                    if on:
                        _linked_rows(nk, nj, lo, hi, linked, l_lo, l_hi, usj, usk, quick, H, X, GX, Z, GZ, ax, ay, az, bx, by, bz, iu, im, if_, M, tl, be, ga, Lu, Le, Du, De, Hp, Tp, body, floor)  # fmt: skip
                else:
                    _fast_rows(nk, nj, lo, hi, linked, l_lo, l_hi, usj, usk, quick, H, Z, GZ, X, GX, ax, ay, az, bx, by, bz, iu, im, if_, M, tl, be, ga)  # fmt: skip
                    if on:
                        _linked_rows(nk, nj, lo, hi, linked, l_lo, l_hi, usj, usk, quick, H, Z, GZ, X, GX, ax, ay, az, bx, by, bz, iu, im, if_, M, tl, be, ga, Lu, Le, Du, De, Hp, Tp, body, floor)  # fmt: skip
            if small % 2 == 0:
                _copy_rows(nk, nj, lo, hi, usj, usk, X, GX, Z, GZ)
            _mean_rows(nk, nj, lo, hi, usj, usk, early, late, S, GS, X, GX, Z, GZ)
        for k in range(nk):
            for j in range(nj):
                row = (k + 1) * sk + (j + 1) * sj
                if touched[k, j]:
                    a, b = U(row + lo[k, j]), U(row + hi[k, j])
                    _slow_row(U(row + 1), U(ni), a, b, usj, usk, dt32, H, X, GX, Y, GY, ax, ay, az, bx, by, bz, iu, im, if_, M, tl, be, ga, W, P, E, SE)  # fmt: skip
                elif _warm_row(U(row + 1), U(ni), usj, usk, dt32, X, Y, ax, ay, az, iu, loss, supply) < WATCHED_BELOW_C:
                    touched[k, j] = True
        if found:
            _copy_rows(nk, nj, lo, hi, usj, usk, Z, GZ, Y, GY)
        if has_far:
            _seam(
                nk, nj, ni, sj, sk, dt32, X, ax, ay, az, box[0] // 2 + 1, box[1] // 2 + 1, box[2] // 2 + 1,
                far_shape[2], far_shape[1] * far_shape[2], inflow,
            )  # fmt: skip
            since_far += dt
        X, Y = Y, X
        GX, GY = GY, GX
        odd = not odd
        done = s + 1
        now = F(t0 + done * dt)
        everything = done % COLDEST_EVERY == 0 or done == steps
        grow = False
        for k in range(nk):
            for j in range(nj):
                row = (k + 1) * sk + (j + 1) * sj
                if touched[k, j]:
                    c_lo[k, j], c_hi[k, j] = _extent(row, ni, X, watch, c_lo[k, j], c_hi[k, j])
                    a, b = c_lo[k, j], c_hi[k, j]
                    if a < b:
                        s_lo[k, j], s_hi[k, j] = _extent(row, ni, X, limit, s_lo[k, j], s_hi[k, j])
                        _book_row(U(row + a), U(b - a), size, dt32, now, X, W, P, stasis, coldest, below, first, iso)
                        grow = grow or (
                            (open_sides[0] and k < margin) or (open_sides[1] and k >= nk - margin)
                            or (open_sides[2] and j < margin) or (open_sides[3] and j >= nj - margin)
                            or (open_sides[4] and a <= margin) or (open_sides[5] and b > ni + 1 - margin)
                        )  # fmt: skip
                    else:
                        s_lo[k, j] = s_hi[k, j] = 0
                if everything:
                    _minimum_row(U(row + 1), U(ni), X, coldest)
        if has_far and (done % far_every == 0 or done == steps or grow):
            mk, mj, mi = far_shape
            tj, tk = U(mi), U(mi * mj)
            _far_cells(
                mk - 2, mj - 2, mi - 2, tj, tk, F(since_far), far, far1, fx, fy, fz, fic, floss, fsupply, inflow, free
            )
            for p in range(len(far)):
                far[p] = far1[p]
                far_cold[p] = min(far_cold[p], far1[p])
                inflow[p] = F(0.0)
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
        GY[:] = GX
    return done
