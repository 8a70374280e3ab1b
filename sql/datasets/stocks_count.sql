-- name: stocks-count
-- path: /api/stocks/count
-- scope: user
-- ttl: 1800
-- tags: stocks
-- depends-on: user-profile
-- returns: row
-- valid-until: (SELECT min(exit_date) FROM pnlcache.stock_trades WHERE user_id = :user AND exit_date > now())
-- params:
--   symbol      symbol
--   trade_type  choice BUY|SELL
--   status      choice open|closed
--   open_only   boolean = false
--   start_date  date
--   end_date    date
--   date_field  choice entry|exit = entry
--   min_pnl     decimal
--   max_pnl     decimal

SELECT count(*) AS count
FROM pnlcache.stock_list
WHERE user_id = :user
  AND (:symbol IS NULL OR upper(symbol) = :symbol)
  AND (:trade_type IS NULL OR upper(trade_type) = :trade_type)
  AND (:status IS NULL OR status = :status)
  AND (NOT :open_only OR status = 'open')
  AND (:start_date IS NULL OR CASE :date_field WHEN 'exit' THEN exit_day ELSE entry_day END >= :start_date)
  AND (:end_date IS NULL OR CASE :date_field WHEN 'exit' THEN exit_day ELSE entry_day END <= :end_date)
  AND (:min_pnl IS NULL OR pnl >= :min_pnl)
  AND (:max_pnl IS NULL OR pnl <= :max_pnl)
