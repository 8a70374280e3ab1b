-- name: market-earnings
-- path: /api/market/earnings-calendar
-- scope: shared
-- ttl: 3600
-- tags: earnings
-- refresh: market
-- params:
--   start   date required
--   end     date required
--   symbol  symbol
--   limit   integer 1..5000 = 1000
--   offset  integer 0..1000000 = 0

SELECT symbol, date, session, fiscal_period, eps_estimate, eps_actual, revenue_estimate, revenue_actual
FROM pnlcache.earnings
WHERE date BETWEEN :start AND :end AND (:symbol IS NULL OR symbol = :symbol)
ORDER BY date, symbol
LIMIT :limit OFFSET :offset
