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
FROM pnlcache.filtered_stocks(:user, :symbol, :trade_type, :status, :open_only, :date_field, :start_date, :end_date, :min_pnl, :max_pnl)
