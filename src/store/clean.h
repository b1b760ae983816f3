/*
 * Retention: which commit log files go, and when. Java's rules: at the hours of deleteWhen files older than
 * fileReservedTime; the same at any hour above diskMaxUsedSpaceRatio or when told to; whatever their age above
 * diskSpaceCleanForciblyRatio; and above diskSpaceWarningLevelRatio no message is taken. The oldest file goes first,
 * the last one never.
 *
 * Only the policy: the files belong to whoever lends the hands. One thread.
 */
#ifndef CROCKET_STORE_CLEAN_H
#define CROCKET_STORE_CLEAN_H

#include "os/fs.h"

struct clean_rules {
    const char *delete_when; /* hours, separated by ';' */
    int64_t reserved_hours;
    int max_used_percent, forcibly_percent, warning_percent;
    bool may_force; /* cleanFileForciblyEnable */
    int files_max;  /* in one round */
    int pause_ms;   /* between two removals */
};

/* What the round may do. */
struct clean_hands {
    void *arg;
    int64_t (*first_mtime)(void *arg); /* ms, of the oldest file; -1 when only one is left */
    int (*remove_first)(void *arg);    /* 1 = removed, 0 = only one left, or a negative errno value */
    bool (*pause)(void *arg, int ms);  /* false: stop the round */
};

/* What the round finds. Ratios: used part of the partition, 0 ... 1; -1 when not known. */
struct clean_state {
    int64_t now_ms; /* wall clock */
    int hour;       /* local, 0 ... 23 */
    double log_ratio, queue_ratio;
    bool manual;  /* told to, whatever the hour */
    bool no_room; /* the next commit log file could not be made */
    bool was_full;
};

struct clean_outcome {
    bool full;    /* no message may be taken */
    bool wanted;  /* one of the triggers applied */
    bool at_once; /* age did not count */
    int removed;
    int error; /* negative errno value of a removal that failed */
};

/* Used part of the partition as Java rounds it: up to the next percent. -1 when it cannot be told. */
double clean_disk_ratio(const struct fs *fs, const char *path);
/* diskSpaceCleanForciblyRatio within the bounds that Java's broker has for it. */
double clean_forcibly_ratio(int percent);
bool clean_is_hour(const char *delete_when, int hour);
struct clean_outcome clean_round(const struct clean_rules *rules, const struct clean_state *state,
                                 const struct clean_hands *hands);

#endif
