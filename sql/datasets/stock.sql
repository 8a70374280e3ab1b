-- name: stock
-- path: /api/stocks/{id}
-- scope: user
-- ttl: 1800
-- tags: stocks
-- returns: row
-- params:
--   id  integer 1..9223372036854775807

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
    WHERE user_id = :user AND id = :id
)
SELECT * FROM trades
