-- Market data beyond bars and latest prices: what is known of a symbol, and earnings. Shared by all users; filled by
-- `pnlcache-worker import`.

CREATE TABLE IF NOT EXISTS public.symbols (
    symbol text COLLATE "C" PRIMARY KEY CHECK (symbol <> '' AND symbol = upper(symbol)),
    name text,
    kind text,
    exchange text,
    currency text COLLATE "C" CHECK (currency ~ '^[A-Z]{3}$'),
    sector text,
    industry text
);
COMMENT ON COLUMN public.symbols.kind IS 'stock, etf, fund, crypto, index, ...: the source''s own word';

CREATE TABLE IF NOT EXISTS public.earnings (
    symbol text COLLATE "C" NOT NULL CHECK (symbol <> '' AND symbol = upper(symbol)),
    date date NOT NULL CHECK (isfinite(date)),
    session text COLLATE "C" CHECK (session IN ('before_open', 'during', 'after_close')),
    fiscal_period text,
    eps_estimate numeric(18,8) CHECK (abs(eps_estimate) < 10000000000),
    eps_actual numeric(18,8) CHECK (abs(eps_actual) < 10000000000),
    revenue_estimate bigint,
    revenue_actual bigint,
    PRIMARY KEY (symbol, date)
);
COMMENT ON COLUMN public.earnings.session IS 'when on that day, as the exchange sees it; NULL: not known';
COMMENT ON COLUMN public.earnings.revenue_actual IS 'whole units of the currency';
CREATE INDEX IF NOT EXISTS earnings_by_date ON public.earnings (date, symbol);

CREATE OR REPLACE VIEW pnlcache.earnings AS
SELECT symbol, date, session, fiscal_period, eps_estimate, eps_actual, revenue_estimate, revenue_actual
FROM public.earnings;

CREATE OR REPLACE VIEW pnlcache.symbol_info AS
SELECT symbol, name, kind, exchange, currency, sector, industry
FROM public.symbols;

-- Every symbol that is described or has bars. Those that have are found by stepping through the primary key from one symbol to the next, so
-- that the list costs a few index pages for each symbol, however many bars it has; counting them would read all.
DROP VIEW IF EXISTS pnlcache.symbols; -- its columns may have been others
CREATE VIEW pnlcache.symbols AS
WITH RECURSIVE traded (symbol) AS (
    SELECT min(symbol) FROM public.daily_bars
    UNION ALL
    SELECT (SELECT min(b.symbol) FROM public.daily_bars AS b WHERE b.symbol > t.symbol) FROM traded AS t WHERE t.symbol IS NOT NULL
)
SELECT coalesce(s.symbol, t.symbol) AS symbol, s.name, s.kind, s.exchange, s.currency, s.sector, s.industry,
       (SELECT min(b.date) FROM public.daily_bars AS b WHERE b.symbol = t.symbol) AS first_date,
       (SELECT max(b.date) FROM public.daily_bars AS b WHERE b.symbol = t.symbol) AS last_date
FROM public.symbols AS s FULL JOIN (SELECT symbol FROM traded WHERE symbol IS NOT NULL) AS t ON t.symbol = s.symbol;

GRANT SELECT ON pnlcache.earnings, pnlcache.symbol_info, pnlcache.symbols TO pnlcache;

CALL pnlcache.watch_table('public.symbols', 'symbols', NULL);
CALL pnlcache.watch_table('public.earnings', 'earnings', NULL);
