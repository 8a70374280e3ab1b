-- What the dataset files in datasets/ read besides the views of the journal: daily bars, the latest session, holidays.

CREATE OR REPLACE VIEW pnlcache.daily_bars AS
SELECT symbol, date, open, high, low, close, volume
FROM public.daily_bars;

-- One row per symbol of shares: its latest price, with the change against the close of the session before the one the price
-- was observed in (New York's date). Without an observed price the last close takes its place.
CREATE OR REPLACE VIEW pnlcache.share_prices AS
SELECT s.symbol, coalesce(l.price, b.close) AS price, l.observed_at, b.date AS last_session,
       p.close AS previous_close,
       coalesce(l.price, b.close) - p.close AS change,
       round((coalesce(l.price, b.close) - p.close) * 100 / p.close, 4) AS change_percent
FROM (SELECT symbol FROM public.latest_price WHERE expiration_date IS NULL
      UNION SELECT symbol FROM public.daily_bars) AS s
LEFT JOIN public.latest_price AS l ON l.symbol = s.symbol AND l.expiration_date IS NULL
LEFT JOIN LATERAL (SELECT date, close FROM public.daily_bars AS d WHERE d.symbol = s.symbol
                   ORDER BY date DESC LIMIT 1) AS b ON true
LEFT JOIN LATERAL (SELECT close FROM public.daily_bars AS d WHERE d.symbol = s.symbol
                   AND d.date < coalesce((l.observed_at AT TIME ZONE 'America/New_York')::date, b.date)
                   ORDER BY date DESC LIMIT 1) AS p ON true;

-- Each symbol's bar of the latest session there is, with its change against its bar before.
CREATE OR REPLACE VIEW pnlcache.latest_session AS
SELECT b.symbol, b.date, b.open, b.high, b.low, b.close, b.volume, p.close AS previous_close,
       b.close - p.close AS change, round((b.close - p.close) * 100 / p.close, 4) AS change_percent
FROM public.daily_bars AS b
JOIN LATERAL (SELECT close FROM public.daily_bars AS d WHERE d.symbol = b.symbol AND d.date < b.date
              ORDER BY d.date DESC LIMIT 1) AS p ON true
WHERE b.date = (SELECT max(date) FROM public.daily_bars);
CREATE INDEX IF NOT EXISTS daily_bars_by_date ON public.daily_bars (date);

GRANT SELECT ON pnlcache.daily_bars, pnlcache.share_prices, pnlcache.latest_session TO pnlcache;
