/*
 * Deliberate mistakes for "./dev sim --mutants": the crash simulation must notice each of them. Compiled in only with
 * CROCKET_MUTANTS; everywhere else MUTANT() is false and leaves no code behind. The simulation sets store_mutant before
 * it opens a store.
 */
#ifndef CROCKET_STORE_MUTANT_H
#define CROCKET_STORE_MUTANT_H

#define STORE_MUTANTS(M)                                                                                               \
    M(NO_LOG_SYNC, "a flush moves the watermark without syncing the log")                                              \
    M(NO_SEGMENT_NAME_SYNC, "the name of a new log file is not made durable")                                          \
    M(SHORT_WRITE_TAKEN, "a short write of the log counts as whole")                                                   \
    M(NO_WIPE_AFTER_FAILED_APPEND, "what a failed append left behind stays")                                           \
    M(NO_WIPE_BEHIND_END, "recovery leaves what stands behind the end of the log")                                     \
    M(VISIBLE_BEFORE_FLUSH, "with synchronous flush messages are visible with the append")                             \
    M(NO_QUEUE_SYNC, "queue files are not synced before the checkpoint")                                               \
    M(QUEUES_NOT_CUT, "recovery leaves queue entries behind its begin")                                                \
    M(QUEUES_CUT_TOO_LATE, "a queue keeps one entry that reaches over the cut")                                        \
    M(CHECKPOINT_BEFORE_DATA, "the checkpoint vouches for the log up to its unsynced end")                             \
    M(MARKS_KEPT_WHILE_REBUILDING, "while lost queues are rebuilt the checkpoint goes on vouching for them")           \
    M(QUEUES_TRUSTED, "after a crash every queue entry found is believed")                                             \
    M(NO_CRC_IN_RECOVERY, "recovery takes records whose CRC is wrong")                                                 \
    M(NO_SHARED_SYNC, "the shared files of small queues are not synced before the checkpoint")                         \
    M(SHARED_NOT_CUT, "recovery leaves entries behind its begin in the blocks of small queues")                        \
    M(SHARED_FILE_REMOVED_EARLY, "a file of blocks goes before their copies are durable")                              \
    M(SHARED_LEFT_EARLY, "a queue's block is declared void before its own files are durable")

#define STORE_MUTANT_NUMBER(name, text) MUTANT_##name,
enum store_mutant { MUTANT_NONE, STORE_MUTANTS(STORE_MUTANT_NUMBER) MUTANTS };
#undef STORE_MUTANT_NUMBER

#ifdef CROCKET_MUTANTS
extern enum store_mutant store_mutant;
#define MUTANT(name) (store_mutant == MUTANT_##name)
#else
#define MUTANT(name) 0
#endif

#endif
