-- name: stock
-- path: /api/stocks/{id}
-- scope: user
-- ttl: 1800
-- tags: stocks
-- returns: row
-- valid-until: CASE WHEN r.exit_date > now() THEN r.exit_date END
-- params:
--   id  integer 1..9223372036854775807

SELECT id, symbol, trade_type, order_type, number_shares, entry_price, exit_price, stop_loss, initial_risk, take_profit, initial_target,
       profit_target, intended_entry_price, commissions, fees, entry_date, exit_date, status, pnl, trade_ratings, reviewed, mistakes,
       brokerage_name, created_at, updated_at
FROM pnlcache.stock_list
WHERE user_id = :user AND id = :id
