/* LISTEN and what arrives by it. */
#include "lib/store/db_internal.h"

#include <string.h>

enum status db_listen(struct db *db, const char *channel, struct err *err)
{
    struct buf sql = BUF_INIT;
    enum status status;

    if (strlen(channel) > DB_CHANNEL_MAX)
        return err_fail(err, STATUS_INVALID, "channel name too long: %s", channel);
    status = db_connect(db, err);
    if (status != STATUS_OK)
        return status;
    if (db->pooled)
        return err_fail(err, STATUS_INVALID, "a connection pooler is in between, which passes no notifications on");
    buf_append_string(&sql, "UNLISTEN *; LISTEN ");
    db_append_identifier(&sql, channel);
    status = buf_status(&sql);
    if (status == STATUS_OK)
        status = db_execute(db, sql.data, err);
    buf_release(&sql);
    if (status == STATUS_OK)
        memcpy(db->channel, channel, strlen(channel) + 1);
    return status;
}

enum status db_take_notifications(struct db *db, bool *ret_any, struct err *err)
{
    enum status status = db_connect(db, err);
    PGnotify *notification;
    bool any;

    if (status != STATUS_OK)
        return status;
    any = db->missed_notifications;
    db->missed_notifications = false;
    while ((notification = PQnotifies(db->conn)) != NULL) {
        any = true;
        PQfreemem(notification);
    }
    *ret_any = any;
    return STATUS_OK;
}
