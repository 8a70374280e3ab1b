-- name: holidays
-- path: /api/notebook/calendar/holidays, /api/notebook/holidays
-- scope: shared
-- ttl: 604800
-- tags: holidays
-- refresh: reference
-- params:
--   year     integer 1900..2200
--   country  symbol = US
--   kind     choice market|public

SELECT date, name, kind, country
FROM pnlcache.holidays
WHERE country = :country
  AND (:year IS NULL OR extract(year FROM date) = :year)
  AND (:kind IS NULL OR kind = :kind)
ORDER BY date, kind, name
