-- name: market-movers
-- path: /api/market/movers
-- scope: shared
-- key: market:movers:all
-- ttl: 300
-- tags: prices
-- refresh: market

SELECT symbol, date, close, volume, previous_close, change, change_percent
FROM pnlcache.latest_session
WHERE change <> 0
ORDER BY abs(change_percent) DESC, symbol
LIMIT 20
