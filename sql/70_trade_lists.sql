-- Trades as the lists show them: their P&L and status as of now, the days they fall on in their account. Over the views of 40, whoever wrote those.

-- The day of an instant in an account: that of its time zone, or, where a trading day begins at another hour than midnight, the trading
-- day (metrics specification 2). Without settings: New York, midnight.
CREATE OR REPLACE FUNCTION pnlcache.account_day(at timestamptz, timezone text, trading_day_start integer) RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (at AT TIME ZONE coalesce(timezone, 'America/New_York')
            + make_interval(hours => CASE WHEN trading_day_start < 12 THEN -trading_day_start ELSE coalesce(24 - trading_day_start, 0) END))::date
$$;

-- pnl as in the metrics specification 5: rounded once, costs taken off. A trade that exits in the future is open.
CREATE OR REPLACE VIEW pnlcache.stock_list AS
SELECT user_id, id, symbol, trade_type, order_type, number_shares, entry_price, exit_price, stop_loss, initial_risk, take_profit,
       initial_target, profit_target, intended_entry_price, commissions, fees, entry_date,
       NULLIF(exit_date, 'infinity') AS exit_date,
       CASE WHEN exit_date <= now() THEN 'closed' ELSE 'open' END AS status,
       CASE WHEN exit_date <= now() THEN
           round(CASE upper(trade_type) WHEN 'SELL' THEN -1 ELSE 1 END * (exit_price - entry_price) * number_shares, 8)
           - commissions - fees END AS pnl,
       trade_ratings, reviewed, mistakes, brokerage_name, created_at, updated_at,
       pnlcache.account_day(entry_date, a.timezone, a.trading_day_start) AS entry_day,
       pnlcache.account_day(NULLIF(exit_date, 'infinity'), a.timezone, a.trading_day_start) AS exit_day
FROM pnlcache.stock_trades LEFT JOIN pnlcache.account_settings AS a USING (user_id);

-- An option that expired, was assigned or exercised without a price is worth nothing at its end.
CREATE OR REPLACE VIEW pnlcache.option_list AS
SELECT user_id, id, symbol, strategy_type, trade_direction, side, option_type, strike_price, expiration_date, number_of_contracts,
       multiplier, entry_price, exit_price, total_premium, implied_volatility, order_type, stop_loss, initial_risk, take_profit,
       initial_target, profit_target, intended_entry_price, commissions, fees, entry_date,
       NULLIF(exit_date, 'infinity') AS exit_date,
       CASE WHEN exit_date <= now() THEN lower(status) ELSE 'open' END AS status,
       CASE WHEN exit_date <= now() THEN
           round(CASE lower(side) WHEN 'short' THEN -1 ELSE 1 END * (coalesce(exit_price, 0) - entry_price)
                 * number_of_contracts * multiplier, 8) - commissions - fees END AS pnl,
       trade_ratings, reviewed, mistakes, brokerage_name, created_at, updated_at,
       pnlcache.account_day(entry_date, a.timezone, a.trading_day_start) AS entry_day,
       pnlcache.account_day(NULLIF(exit_date, 'infinity'), a.timezone, a.trading_day_start) AS exit_day
FROM pnlcache.option_trades LEFT JOIN pnlcache.account_settings AS a USING (user_id);

-- Where a trade comes in a list: one number that always ascends, whatever the list is sorted by; what has no value comes last.
-- 0 for lists sorted by symbol. Exact: a cursor is compared with it.
CREATE OR REPLACE FUNCTION pnlcache.trade_rank(sort text, direction text, entry_date timestamptz, exit_date timestamptz, pnl numeric,
                                               id bigint) RETURNS numeric
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(CASE direction WHEN 'desc' THEN -1 ELSE 1 END
                    * CASE sort WHEN 'entry_date' THEN extract(epoch FROM entry_date) WHEN 'exit_date' THEN extract(epoch FROM exit_date)
                                WHEN 'pnl' THEN pnl WHEN 'id' THEN id::numeric ELSE 0 END, 'Infinity'::numeric)
$$;

GRANT SELECT ON pnlcache.stock_list, pnlcache.option_list TO pnlcache;
GRANT EXECUTE ON FUNCTION pnlcache.account_day(timestamptz, text, integer) TO pnlcache;
GRANT EXECUTE ON FUNCTION pnlcache.trade_rank(text, text, timestamptz, timestamptz, numeric, bigint) TO pnlcache;
