-- name: market-gainers
-- path: /api/market/gainers
-- scope: shared
-- key: market:movers:gainers
-- ttl: 300
-- tags: prices
-- refresh: market

SELECT symbol, date, close, volume, previous_close, change, change_percent
FROM pnlcache.latest_session
WHERE change > 0
ORDER BY change_percent DESC, symbol
LIMIT 20
