-- name: trade-notes
-- path: /api/trade-notes
-- scope: user
-- collection: user:{U}:notes:all
-- ttl: 1800
-- tags: notes
-- depends-on: user-profile
-- cursor: updated_at time, id integer
-- params:
--   search           text
--   trade_type       choice stock|option
--   stock_trade_id   integer 1..9223372036854775807
--   option_trade_id  integer 1..9223372036854775807
--   start_date       date
--   end_date         date
--   limit            integer 1..500|all = 100
--   offset           integer 0..10000000 = 0

SELECT id, name, content, trade_type, stock_trade_id, option_trade_id, ai_metadata, created_at, updated_at
FROM pnlcache.trade_notes
WHERE user_id = :user
  AND (:search IS NULL OR position(lower(:search) IN lower(name)) > 0 OR position(lower(:search) IN lower(content)) > 0)
  AND (:trade_type IS NULL OR trade_type = :trade_type)
  AND (:stock_trade_id IS NULL OR stock_trade_id = :stock_trade_id)
  AND (:option_trade_id IS NULL OR option_trade_id = :option_trade_id)
  AND (:start_date IS NULL
       OR pnlcache.account_day(created_at, (SELECT timezone FROM pnlcache.account_settings WHERE user_id = :user), 0) >= :start_date)
  AND (:end_date IS NULL
       OR pnlcache.account_day(created_at, (SELECT timezone FROM pnlcache.account_settings WHERE user_id = :user), 0) <= :end_date)
  AND (:after_id IS NULL OR (updated_at, id) < (:after_updated_at, :after_id))
ORDER BY updated_at DESC, id DESC
LIMIT :limit OFFSET :offset
