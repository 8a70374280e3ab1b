-- name: market-symbols
-- path: /api/market/symbols
-- scope: shared
-- key: symbols:list:$H
-- ttl: 21600
-- tags: symbols, prices
-- refresh: reference

SELECT symbol, name, kind, exchange, first_date, last_date
FROM pnlcache.symbols
ORDER BY symbol
