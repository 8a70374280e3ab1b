-- name: stocks-count
-- path: /api/stocks/count
-- scope: user
-- ttl: 1800
-- tags: stocks
-- returns: row
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

-- pnl as in the metrics specification 5: rounded once, costs taken off. A trade that exits in the future is open.
WITH trades AS (
    SELECT id, symbol, trade_type, order_type, number_shares, entry_price, exit_price, stop_loss, initial_risk, take_profit,
           initial_target, profit_target, intended_entry_price, commissions, fees, entry_date,
           NULLIF(exit_date, 'infinity') AS exit_date,
           CASE WHEN exit_date <= now() THEN 'closed' ELSE 'open' END AS status,
           CASE WHEN exit_date <= now() THEN
               round(CASE upper(trade_type) WHEN 'SELL' THEN -1 ELSE 1 END * (exit_price - entry_price) * number_shares, 8)
               - commissions - fees END AS pnl,
           trade_ratings, reviewed, mistakes, brokerage_name, created_at, updated_at
    FROM pnlcache.stock_trades
    WHERE user_id = :user
)
SELECT count(*) AS count FROM trades
WHERE (:symbol IS NULL OR upper(symbol) = :symbol)
  AND (:trade_type IS NULL OR upper(trade_type) = :trade_type)
  AND (:status IS NULL OR status = :status)
  AND (NOT :open_only OR status = 'open')
  AND (:start_date IS NULL
       OR (CASE :date_field WHEN 'exit' THEN exit_date ELSE entry_date END AT TIME ZONE 'America/New_York')::date >= :start_date)
  AND (:end_date IS NULL
       OR (CASE :date_field WHEN 'exit' THEN exit_date ELSE entry_date END AT TIME ZONE 'America/New_York')::date <= :end_date)
  AND (:min_pnl IS NULL OR pnl >= :min_pnl)
  AND (:max_pnl IS NULL OR pnl <= :max_pnl)
