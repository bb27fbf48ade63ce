"""The tables: what was measured, with its ratios to the best peer and to the floor, and what lychgate is to show."""

import statistics

HEADING = [
    "| row | server | requests/s | lowest–highest | p50 ms | p99 ms | to best peer | to floor"
    " | CPU ms per 1,000 | to best peer | to floor |",
    "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
]


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def shown(value, form):
    return format(value, form) if value is not None else "?"


def ratio(value, other):
    return value / other if value and other else None


def is_peer(name):
    return name not in ("floor", "relay") and "lychgate" not in name


class Figures:
    """The medians of a row: for each server by name."""

    def __init__(self, row, results):
        self.row, self.results = row, results
        self.rates = self.medians("rate")
        self.cpus = self.medians("cpu")
        self.p50s = self.medians("p50")
        self.p99s = self.medians("p99")

    def medians(self, what):
        return {name: median(getattr(result, what) for result in some) for name, some in self.results.items()}

    def best_rate(self):
        return max((rate for name, rate in self.rates.items() if is_peer(name)), default=None)

    def best_cpu(self):
        return min((cpu for name, cpu in self.cpus.items() if is_peer(name) and cpu), default=None)

    def lines(self):
        """The table's lines."""
        for name, some in self.results.items():
            spread = [result.rate for result in some]
            yield (
                f"| {self.row.name} | {name} | {self.rates[name]:.0f} | {min(spread):.0f}–{max(spread):.0f}"
                f" | {shown(self.p50s[name], '.3f')} | {shown(self.p99s[name], '.2f')}"
                f" | {shown(ratio(self.rates[name], self.best_rate()), '.2f')}"
                f" | {shown(ratio(self.rates[name], self.rates.get('floor')), '.2f')}"
                f" | {shown(self.cpus[name], '.2f')} | {shown(ratio(self.cpus[name], self.best_cpu()), '.2f')}"
                f" | {shown(ratio(self.cpus[name], self.cpus.get('floor')), '.2f')} |"
            )

    def per_gib(self):
        """CPU seconds per GiB, for long bodies."""
        gibs = self.row.length() / (1 << 30)
        some = ", ".join(f"{name} {cpu / 1e6 / gibs:.3f}" for name, cpu in self.cpus.items() if cpu)
        return f"{self.row.name}, CPU seconds per GiB: {some}"


def paired(first, second, who, what):
    """The median of the ratios of two rows, or of two servers of one, round by round: the second to the first."""
    pairs = zip(first.results.get(who[0], []), second.results.get(who[1], []))
    return median(ratio(getattr(after, what), getattr(before, what)) for before, after in pairs)


class Goal:
    """A figure and its bound, as they are shown."""

    def __init__(self, what, figure, bound, met):
        self.what, self.figure, self.bound, self.met = what, figure, bound, met


class Goals:
    """What lychgate is to show, computed from the rows that there are."""

    def __init__(self, figures, singles):
        # Figures by row; and figures that are one number: by (row, server).
        self.figures, self.singles, self.found = figures, singles, []

    def add(self, what, value, bound, form=".2f", least=False):
        """A figure that is to be at most, or at least, so much."""
        if value is not None:
            met = value >= bound if least else value <= bound
            sign = "≥" if least else "≤"
            self.found.append(Goal(what, format(value, form), f"{sign} {bound:g}", met))

    def cpu(self, row, other="best"):
        """lychgate's CPU time to the floor's, to a peer's, or to the best peer's; the latter by their medians."""
        some = self.figures.get(row)
        if not some or "lychgate" not in some.cpus:
            return None
        if other == "best":
            return ratio(some.cpus["lychgate"], some.best_cpu())
        return paired(some, some, (other, "lychgate"), "cpu")

    def relayed(self, row, what):
        """Words that say what a relay comes to, which is next to no server, where there is one."""
        some = self.figures.get(row)
        if not some or "relay" not in some.rates:
            return ""
        rate = ratio(some.rates["relay"], some.best_rate())
        figure = rate if what == "rate" else ratio(some.best_cpu(), some.cpus["relay"])
        return f" (a relay's: {figure:.2f})" if figure else ""

    def between(self, first, second, what="cpu", who="lychgate"):
        """The second row to the first."""
        if first not in self.figures or second not in self.figures:
            return None
        return paired(self.figures[first], self.figures[second], (who, who), what)

    def inverse(self, value):
        return 1 / value if value else None

    def judge(self):
        """Judges all that was measured."""
        self.static()
        self.settings()
        self.scripts()
        self.applications()
        self.rest()
        return self

    def lines(self):
        if self.found:
            yield from ["", "| what lychgate is to show | figure | bound | met |", "|---|--:|--:|---|"]
            for goal in self.found:
                yield f"| {goal.what} | {goal.figure} | {goal.bound} | {'yes' if goal.met else 'NO'} |"

    def in_words(self):
        """How many are met, and all that are not."""
        missed = [f"{goal.what}: {goal.figure}, wanted {goal.bound}" for goal in self.found if not goal.met]
        if not self.found:
            return
        yield f"Of {len(self.found)} bounds that are set for it, lychgate keeps {len(self.found) - len(missed)}."
        if missed:
            yield from ["It misses:", "", *[f"- {line}" for line in missed]]

    def static(self):
        self.add("8 KiB, lighttpd's CPU time to ours", self.inverse(self.cpu("static-8k", "lighttpd")), 1.13, least=True)
        self.add("8 KiB, Apache's CPU time to ours", self.inverse(self.cpu("static-8k", "apache")), 6, least=True)
        self.add("8 KiB, CPU time to the floor", self.cpu("static-8k", "floor"), 1.22)
        for row in ("calls4", "close", "1", "16", "256", "1024"):
            self.add(f"static-8k-{row}, CPU time to the best peer", self.cpu(f"static-8k-{row}"), 1)
        self.add("20,000 files, CPU time to nginx", self.cpu("static-random", "nginx"), 1)
        self.add("100 bytes, CPU time to lighttpd", self.cpu("static-100", "lighttpd"), 1)
        self.add("1 MiB, CPU time to lighttpd", self.cpu("static-1m", "lighttpd"), 1)
        self.add("100 MiB, CPU time to lighttpd", self.cpu("static-100m", "lighttpd"), 1)

    def settings(self):
        self.add("no access log, CPU time to that with one", self.between("static-8k", "static-8k-nolog"), 0.94, ".3f", least=True)
        self.add("AllowOverride All, CPU time to None", self.between("static-8k", "static-8k-htaccess"), 1.05)
        self.add("WordPress' .htaccess, CPU time to none", self.between("static-8k", "static-8k-wordpress"), 1.25)

    def scripts(self):
        for row in ("cgi-c", "cgi-sh", "cgi-perl"):
            self.add(f"{row}, CPU time to the floor", self.cpu(row, "floor"), 1.15)
        alone = self.figures.get("cgi-c-1")
        if alone:
            self.add("cgi-c-1, p50 to the floor", paired(alone, alone, ("floor", "lychgate"), "p50"), 1.3)
        for plain, basic in (("cgi-c", "cgi-c-basic"), ("cgi-c-1", "cgi-c-1-basic")):
            if plain in self.figures and basic in self.figures:
                some = zip(self.figures[plain].results.get("lychgate", []), self.figures[basic].results.get("lychgate", []))
                cpus = [after.cpu - before.cpu for before, after in some if before.cpu and after.cpu]
                self.add(f"{basic}, ms of CPU time a script more", median(cpus) and median(cpus) / 1000, 0.15, ".3f")

    def applications(self):
        for row in ("fastcgi-c-1", "fastcgi-c", "fastcgi-c-64", "fastcgi-64k", "php-fpm"):
            some = self.figures.get(row)
            if some and "lychgate" in some.rates:
                self.add(f"{row}, rate to the best peer{self.relayed(row, 'rate')}", ratio(some.rates["lychgate"], some.best_rate()), 1.3, least=True)
                relayed = self.relayed(row, "cpu")
                self.add(f"{row}, the best peer's CPU time to ours{relayed}", self.inverse(self.cpu(row)), 1.3, least=True)
                best = min((p99 for name, p99 in some.p99s.items() if is_peer(name) and p99), default=None)
                self.add(f"{row}, p99 to the best peer", ratio(some.p99s["lychgate"], best), 1)
        self.add("reverse proxy, CPU time to nginx", self.cpu("proxy-8k", "nginx"), 1)

    def rest(self):
        self.add("10,000 idle connections, KiB each", self.singles.get(("idle", "lychgate")), 2)
        self.add("10,000 idle connections, KiB each with all of the server", self.singles.get(("idle-all", "lychgate")), 2)
        self.add("start to first answer, ms", self.singles.get(("start", "lychgate")), 20, ".1f")
        self.add("idle memory of all roles, MiB", self.singles.get(("memory", "lychgate")), 12, ".1f")
        self.add("16 deep, rate to 1 deep", self.between("static-100", "pipelined-16", "rate"), 2.5, least=True)
        for row in ("cores-cgi", "cores-8k"):
            # What the machine itself makes of a second core, where that was measured.
            floor = self.between(f"{row}-1", f"{row}-2", "rate", "floor")
            beside = f" (the floor's: {floor:.2f})" if floor else ""
            self.add(f"{row}, rate of two cores to one{beside}", self.between(f"{row}-1", f"{row}-2", "rate"), 1.7, least=True)


# The order of the columns of the summary.
SERVERS = ["floor", "relay", "lychgate", "lighttpd", "h2o", "nginx", "apache"]


def summary(figures):
    """CPU ms per 1,000 requests of everybody in one table: what the README shows."""
    rows = {name: some for name, some in figures.items() if "lychgate" in some.cpus and set(map(is_peer, some.cpus)) == {True, False}}
    if not rows:
        return
    there = [name for name in SERVERS if any(name in some.cpus for some in rows.values())]
    yield "| CPU ms per 1,000 requests | " + " | ".join(there) + " | to the best peer | to the floor |"
    yield "|---|" + "--:|" * (len(there) + 2)
    for name, some in rows.items():
        cells = [shown(some.cpus[server], ".1f") if some.cpus.get(server) else "–" for server in there]
        ratios = [ratio(some.cpus["lychgate"], other) for other in (some.best_cpu(), some.cpus.get("floor"))]
        cells += [shown(value, ".2f") if value else "–" for value in ratios]
        yield f"| {name} | " + " | ".join(cells) + " |"


# What is one number for each server, and how it is shown.
SINGLES = [
    ("start", "start to the first answer, ms", ".1f"),
    ("memory", "memory idle, MiB", ".1f"),
    ("idle", "KiB more for each of many idle connections", ".2f"),
    ("idle-all", "KiB of the whole server for each of them", ".2f"),
]


def singles_table(singles):
    """What a server needs by itself."""
    there = [name for name in SERVERS if any((what, name) in singles for what, _, _ in SINGLES)]
    if not there:
        return
    yield "| by itself | " + " | ".join(there) + " |"
    yield "|---|" + "--:|" * len(there)
    for what, words, form in SINGLES:
        if any((what, name) in singles for name in there):
            cells = [shown(singles.get((what, name)), form) for name in there]
            yield f"| {words} | " + " | ".join(cells) + " |"
