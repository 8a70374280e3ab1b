/* libpq, loaded when the first database is named: with what it brings along (Kerberos, LDAP, GnuTLS and more) it would take half
 * of the time of a process that answers one request and needs no database, as plain CGI does. The names stay those of
 * <libpq-fe.h>; one that is not listed here does not link. */
#ifndef PNLCACHE_STORE_LIBPQ_H
#define PNLCACHE_STORE_LIBPQ_H

#include <libpq-fe.h>

#include "lib/base/err.h"

/* clang-format off */
#define LIBPQ_FUNCTIONS(X) \
    X(backendPID) X(binaryTuples) X(clear) X(cmdStatus) X(connectPoll) X(connectStartParams) \
    X(connectdbParams) X(conninfoFree) X(conninfoParse) X(consumeInput) X(errorMessage) X(exec) X(finish) \
    X(flush) X(fname) X(freemem) X(ftype) X(getCopyData) X(getResult) X(getisnull) X(getlength) X(getvalue) \
    X(isBusy) X(nfields) X(notifies) X(ntuples) X(putCopyData) X(putCopyEnd) X(resultErrorField) \
    X(resultErrorMessage) X(resultStatus) X(sendPrepare) X(sendQuery) X(sendQueryParams) \
    X(sendQueryPrepared) X(serverVersion) X(setNoticeReceiver) X(setnonblocking) X(socket) X(status) \
    X(transactionStatus)
/* clang-format on */

struct libpq {
#define LIBPQ_MEMBER(name) __typeof__(&PQ##name) name;
    LIBPQ_FUNCTIONS(LIBPQ_MEMBER)
#undef LIBPQ_MEMBER
};
extern struct libpq libpq;

/* Before the first call of any of them. STATUS_INTERNAL: the library is not there, or is not one that we know. */
enum status libpq_load(struct err *err) MUST_CHECK;

#define PQbackendPID libpq.backendPID
#define PQbinaryTuples libpq.binaryTuples
#define PQclear libpq.clear
#define PQcmdStatus libpq.cmdStatus
#define PQconnectPoll libpq.connectPoll
#define PQconnectStartParams libpq.connectStartParams
#define PQconnectdbParams libpq.connectdbParams
#define PQconninfoFree libpq.conninfoFree
#define PQconninfoParse libpq.conninfoParse
#define PQconsumeInput libpq.consumeInput
#define PQerrorMessage libpq.errorMessage
#define PQexec libpq.exec
#define PQfinish libpq.finish
#define PQflush libpq.flush
#define PQfname libpq.fname
#define PQfreemem libpq.freemem
#define PQftype libpq.ftype
#define PQgetCopyData libpq.getCopyData
#define PQgetResult libpq.getResult
#define PQgetisnull libpq.getisnull
#define PQgetlength libpq.getlength
#define PQgetvalue libpq.getvalue
#define PQisBusy libpq.isBusy
#define PQnfields libpq.nfields
#define PQnotifies libpq.notifies
#define PQntuples libpq.ntuples
#define PQputCopyData libpq.putCopyData
#define PQputCopyEnd libpq.putCopyEnd
#define PQresultErrorField libpq.resultErrorField
#define PQresultErrorMessage libpq.resultErrorMessage
#define PQresultStatus libpq.resultStatus
#define PQsendPrepare libpq.sendPrepare
#define PQsendQuery libpq.sendQuery
#define PQsendQueryParams libpq.sendQueryParams
#define PQsendQueryPrepared libpq.sendQueryPrepared
#define PQserverVersion libpq.serverVersion
#define PQsetNoticeReceiver libpq.setNoticeReceiver
#define PQsetnonblocking libpq.setnonblocking
#define PQsocket libpq.socket
#define PQstatus libpq.status
#define PQtransactionStatus libpq.transactionStatus

#endif
