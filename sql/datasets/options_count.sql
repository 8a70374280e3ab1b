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
FROM pnlcache.option_list
WHERE user_id = :user
  AND (:symbol IS NULL OR upper(symbol) = :symbol)
  AND (:strategy_type IS NULL OR lower(strategy_type) = lower(:strategy_type))
  AND (:option_type IS NULL OR lower(option_type) = lower(:option_type))
  AND (:trade_direction IS NULL OR lower(trade_direction) = lower(:trade_direction))
  AND (:status IS NULL OR status = :status OR (:status = 'closed' AND status <> 'open'))
  AND (NOT :open_only OR status = 'open')
  AND (:start_date IS NULL OR CASE :date_field WHEN 'exit' THEN exit_day ELSE entry_day END >= :start_date)
  AND (:end_date IS NULL OR CASE :date_field WHEN 'exit' THEN exit_day ELSE entry_day END <= :end_date)
  AND (:min_pnl IS NULL OR pnl >= :min_pnl)
  AND (:max_pnl IS NULL OR pnl <= :max_pnl)
