-- name: market-losers
-- path: /api/market/losers
-- scope: shared
-- key: market:movers:losers
-- ttl: 300
-- tags: prices
-- refresh: market

SELECT symbol, date, close, volume, previous_close, change, change_percent
FROM pnlcache.latest_session
WHERE change < 0
ORDER BY change_percent, symbol
LIMIT 20
