-- name: market-actives
-- path: /api/market/actives
-- scope: shared
-- key: market:movers:active
-- ttl: 300
-- tags: prices
-- refresh: market

SELECT symbol, date, close, volume, previous_close, change, change_percent
FROM pnlcache.latest_session
WHERE volume > 0
ORDER BY volume DESC, symbol
LIMIT 20
