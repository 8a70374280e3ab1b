-- name: stocks
-- path: /api/stocks
-- scope: user
-- key: trades:stocks:{U}:list:$H
-- collection: user:{U}:stocks:all
-- ttl: 1800
-- tags: stocks
-- depends-on: user-profile
-- cursor: entry_date time, exit_date time, pnl decimal, symbol text, id integer
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
--   sort        choice entry_date|exit_date|symbol|pnl|id = entry_date
--   order       choice asc|desc = desc
--   limit       integer 1..500|all = 100
--   offset      integer 0..10000000 = 0

SELECT id, symbol, trade_type, order_type, number_shares, entry_price, exit_price, stop_loss, initial_risk, take_profit, initial_target,
       profit_target, intended_entry_price, commissions, fees, entry_date, exit_date, status, pnl, trade_ratings, reviewed, mistakes,
       brokerage_name, created_at, updated_at
FROM pnlcache.filtered_stocks(:user, :symbol, :trade_type, :status, :open_only, :date_field, :start_date, :end_date, :min_pnl, :max_pnl)
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
