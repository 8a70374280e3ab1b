-- name: option
-- path: /api/options/{id}
-- scope: user
-- ttl: 1800
-- tags: options
-- returns: row
-- valid-until: CASE WHEN r.exit_date > now() THEN r.exit_date END
-- params:
--   id  integer 1..9223372036854775807

SELECT id, symbol, strategy_type, trade_direction, side, option_type, strike_price, expiration_date, number_of_contracts, multiplier,
       entry_price, exit_price, total_premium, implied_volatility, order_type, stop_loss, initial_risk, take_profit, initial_target,
       profit_target, intended_entry_price, commissions, fees, entry_date, exit_date, status, pnl, trade_ratings, reviewed, mistakes,
       brokerage_name, created_at, updated_at
FROM pnlcache.option_list
WHERE user_id = :user AND id = :id
