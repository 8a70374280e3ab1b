"""A strict reader of Prometheus' text format 0.0.4: what it takes, any scraper takes."""
import re

HELP = re.compile(r"# HELP ([a-z_:][a-z0-9_:]*) ([^\n]+)")
TYPE = re.compile(r"# TYPE ([a-z_:][a-z0-9_:]*) (counter|gauge|histogram|summary)")
SAMPLE = re.compile(r'([a-z_:][a-z0-9_:]*)(?:\{((?:[a-z_]+="[^"\\\n]*",?)+)\})? ([0-9]+(?:\.[0-9]+)?)')
LABEL = re.compile(r'([a-z_]+)="([^"]*)"')


def _check_histogram(name, samples):
    series = {}
    for (sample, labels), value in samples.items():
        rest = tuple(pair for pair in labels if pair[0] != "le")
        series.setdefault(rest, {}).setdefault(sample, []).append((dict(labels).get("le"), value))
    for rest, parts in series.items():
        bounds = [bound for bound, _ in parts[name + "_bucket"]]
        counts = [count for _, count in parts[name + "_bucket"]]
        assert bounds[-1] == "+Inf", (name, rest)
        assert [float(b) for b in bounds] == sorted(float(b) for b in bounds) and len(set(bounds)) == len(bounds), bounds
        assert counts == sorted(counts), (name, rest, counts)
        assert parts[name + "_count"][0][1] == counts[-1]
        assert len(parts[name + "_sum"]) == 1


def parse(text):
    """{(name, ((label, value), ...)): number}; an assertion fails where the text is not as it should be."""
    assert text.endswith("\n") and "\r" not in text and "\n\n" not in text
    lines = text[:-1].split("\n")
    samples, family, kind, families = {}, None, None, {}
    for i, line in enumerate(lines):
        if line.startswith("# HELP"):
            family = HELP.fullmatch(line)[1]
            assert family not in families, f"{family} comes twice"
            kind = TYPE.fullmatch(lines[i + 1])[2]
            assert TYPE.fullmatch(lines[i + 1])[1] == family
            assert (kind == "counter") == family.endswith("_total"), line
            families[family] = {}
        elif not line.startswith("# TYPE"):
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match[1], tuple(LABEL.findall(match[2] or "")), float(match[3])
            suffixes = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}.get(kind, ("",))
            assert name in [family + suffix for suffix in suffixes], line
            assert len({label for label, _ in labels}) == len(labels), line
            assert (name, labels) not in samples, f"{line} comes twice"
            samples[name, labels] = families[family][name, labels] = value
    for name, own in families.items():
        if any(sample == name + "_bucket" for sample, _ in own):
            _check_histogram(name, own)
    return samples
