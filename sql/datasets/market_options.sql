-- name: market-options
-- path: /api/market/options
-- scope: shared
-- ttl: 300
-- tags: prices
-- refresh: market
-- params:
--   symbol           symbol required
--   expiration_date  date
--   option_type      choice Call|Put
--   limit            integer 1..5000 = 1000
--   offset           integer 0..1000000 = 0

SELECT symbol, expiration_date, option_type, strike_price, price, observed_at
FROM pnlcache.latest_prices
WHERE symbol = :symbol AND expiration_date IS NOT NULL
  AND (:expiration_date IS NULL OR expiration_date = :expiration_date)
  AND (:option_type IS NULL OR option_type = :option_type)
ORDER BY expiration_date, option_type, strike_price
LIMIT :limit OFFSET :offset
