-- name: options-count
-- path: /api/options/count
-- scope: user
-- ttl: 1800
-- tags: options
-- depends-on: user-profile
-- returns: row
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

SELECT count(*) AS count
FROM pnlcache.filtered_options(:user, :symbol, :strategy_type, :option_type, :trade_direction, :status, :open_only, :date_field, :start_date,
                               :end_date, :min_pnl, :max_pnl)
