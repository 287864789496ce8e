-- `transaction_scores` gets `currency`, the currency of `amount_minor`: in every version that is kept, and in both views.
-- A serving database without fraud is left as it is. The values follow in 0003.
DO $$
BEGIN
    IF to_regclass('fraud.transaction_scores') IS NULL THEN
        RETURN;
    END IF;
    ALTER TABLE fraud.transaction_scores ADD COLUMN IF NOT EXISTS currency text;
    CREATE OR REPLACE VIEW transaction_scores_current AS
        SELECT t.version, t.date, t.transaction_id, t.event_time, t.customer_id, t.merchant_id, t.amount_minor, t.score,
            t.flagged, t.currency
        FROM fraud.transaction_scores AS t
        WHERE t.version = ANY (ARRAY(
            SELECT p.version FROM publication AS p
            WHERE p.pipeline = 'fraud' AND p.state = 'current' AND p.date <= (
                SELECT now.date FROM served JOIN publication AS now USING (pipeline, version)
                WHERE served.pipeline = 'fraud')));
    CREATE OR REPLACE VIEW transaction_scores_history AS
        SELECT t.version, t.date, t.transaction_id, t.event_time, t.customer_id, t.merchant_id, t.amount_minor, t.score,
            t.flagged, p.model_digest, p.model_version, p.state, t.currency
        FROM fraud.transaction_scores AS t
        JOIN publication AS p ON p.pipeline = 'fraud' AND p.version = t.version
        WHERE p.state <> 'loading';
END
$$;
