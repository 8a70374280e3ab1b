-- What the programs read, and the triggers that tell them of changes.
--
-- An application with its own tables defines these three views itself, with these columns: names, order and
-- types are the contract. Rows a user deleted are not in them. Columns only metrics of later
-- versions or lists read may be NULL throughout.

CREATE OR REPLACE VIEW pnlcache.stock_trades AS
SELECT user_id, id, symbol, trade_type, number_shares, entry_price, exit_price, entry_date, exit_date,
       commissions, fees, stop_loss, initial_risk, take_profit, profit_target, intended_entry_price,
       mistakes, brokerage_name, order_type, initial_target, trade_ratings, reviewed, created_at, updated_at
FROM public.stocks
WHERE NOT is_deleted;

CREATE OR REPLACE VIEW pnlcache.option_trades AS
SELECT user_id, id, symbol, side, option_type, number_of_contracts, multiplier, entry_price, exit_price,
       entry_date, exit_date, status, strike_price, expiration_date, strategy_type, trade_direction,
       commissions, fees, stop_loss, initial_risk, take_profit, profit_target, intended_entry_price,
       implied_volatility, mistakes, brokerage_name, order_type, initial_target, total_premium,
       trade_ratings, reviewed, created_at, updated_at
FROM public.options
WHERE NOT is_deleted;

-- A user without a row has the defaults.
CREATE OR REPLACE VIEW pnlcache.account_settings AS
SELECT user_id, timezone, trading_day_start, week_start, starting_equity, risk_free_rate, market_holidays, currency
FROM public.account_settings;

GRANT SELECT ON pnlcache.stock_trades, pnlcache.option_trades, pnlcache.account_settings TO pnlcache;

CALL pnlcache.watch_table('public.stocks', 'stocks');
CALL pnlcache.watch_table('public.options', 'options');
CALL pnlcache.watch_table('public.account_settings', 'settings');
CALL pnlcache.watch_table('public.daily_bars', 'prices', NULL);
