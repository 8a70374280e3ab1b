#!/usr/bin/python3
"""Turns the CSV files of a sample folder into one stream for COPY csv_lines FROM STDIN (load_sample.sql).

One row per record: file, line (where the record starts, counting lines of the file), what is wrong with
it as CSV (else NULL), and its cells as JSON: an array for the header, an object by column name for the
others, empty cells left out. What the cells mean is for the database to judge. A last row without a
file says that the stream is complete.
"""

import csv
import json
import os
import signal
import sys

FILES = ("stocks.csv", "options.csv", "daily_bars.csv", "latest_price.csv")


def put(file, line, reason=None, fields=None):
    cells = [file, str(line), reason, None if fields is None else json.dumps(fields, ensure_ascii=False)]
    escaped = (r"\N" if c is None else c.replace("\\", "\\\\").replace("\t", " ").replace("\n", " ").replace("\r", " ")
               for c in cells)
    sys.stdout.buffer.write(("\t".join(escaped) + "\n").encode())


def records(path):
    """Yields (line, cells, reason) of every record; reason None: it is well formed."""
    # Bytes that are not UTF-8 come through as lone surrogates, so that their line can be named.
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        reader = csv.reader(lines, strict=True)
        line = 1
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield line, None, f"not CSV ({error}); the rest of the file was not read"
                return
            if any("\0" in c or any("\ud800" <= char <= "\udfff" for char in c) for c in cells):
                yield line, None, "not valid UTF-8 text"
            elif cells:
                yield line, cells, None
            line = reader.line_num + 1


def header_problem(names):
    if "" in names:
        return "a column has no name"
    twice = [n for n in names if names.count(n) > 1]
    return f"column {twice[0]} is there twice" if twice else None


def convert(directory, file):
    names = None
    for line, cells, reason in records(os.path.join(directory, file)):
        if names is None:
            names = [c.strip().lower() for c in cells or []]
            reason = reason or header_problem(names)
            put(file, line, reason, names)
            if reason:
                return
        elif reason is None and len(cells) != len(names):
            put(file, line, f"{len(cells)} cells, but the header has {len(names)}")
        else:
            put(file, line, reason, {n: c for n, c in zip(names, cells) if c != ""} if cells else None)
    if names is None:
        put(file, 1, "the header line is missing")


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the database's end says why it went
    for file in FILES:
        if os.path.exists(os.path.join(sys.argv[1], file)):
            convert(sys.argv[1], file)
    put("", 0)


main()
