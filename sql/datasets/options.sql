-- name: options
-- path: /api/options
-- scope: user
-- key: trades:options:{U}:list:$H
-- collection: user:{U}:options:all
-- ttl: 1800
-- tags: options
-- depends-on: user-profile
-- cursor: entry_date time, exit_date time, pnl decimal, symbol text, id integer
-- valid-until: (SELECT min(exit_date) FROM pnlcache.option_trades WHERE user_id = :user AND exit_date > now())
-- params:
--   symbol           symbol
--   strategy_type    text
--   option_type      choice Call|Put
--   trade_direction  choice Bullish|Bearish|Neutral
--   status           choice open|closed|expired|assigned|exercised
--   open_only        boolean = false
--   start_date       date
--   end_date         date
--   date_field       choice entry|exit = entry
--   min_pnl          decimal
--   max_pnl          decimal
--   sort             choice entry_date|exit_date|symbol|pnl|id = entry_date
--   order            choice asc|desc = desc
--   limit            integer 1..500|all = 100
--   offset           integer 0..10000000 = 0

SELECT id, symbol, strategy_type, trade_direction, side, option_type, strike_price, expiration_date, number_of_contracts, multiplier,
       entry_price, exit_price, total_premium, implied_volatility, order_type, stop_loss, initial_risk, take_profit, initial_target,
       profit_target, intended_entry_price, commissions, fees, entry_date, exit_date, status, pnl, trade_ratings, reviewed, mistakes,
       brokerage_name, created_at, updated_at
FROM pnlcache.filtered_options(:user, :symbol, :strategy_type, :option_type, :trade_direction, :status, :open_only, :date_field, :start_date,
                               :end_date, :min_pnl, :max_pnl)
WHERE :after_id IS NULL
   OR CASE
       WHEN :sort = 'symbol' AND :order = 'asc' THEN (symbol, id) > (:after_symbol, :after_id)
       WHEN :sort = 'symbol' THEN (symbol, id) < (:after_symbol, :after_id)
       ELSE (pnlcache.trade_rank(:sort, :order, entry_date, exit_date, pnl, id), CASE :order WHEN 'desc' THEN -id ELSE id END)
            > (pnlcache.trade_rank(:sort, :order, :after_entry_date, :after_exit_date, :after_pnl, :after_id),
               CASE :order WHEN 'desc' THEN -:after_id ELSE :after_id END) END
ORDER BY pnlcache.trade_rank(:sort, :order, entry_date, exit_date, pnl, id),
         CASE WHEN :sort = 'symbol' AND :order = 'asc' THEN symbol END,
         CASE WHEN :sort = 'symbol' AND :order = 'desc' THEN symbol END DESC,
         CASE :order WHEN 'desc' THEN -id ELSE id END
LIMIT :limit OFFSET :offset
