/* SPDX-License-Identifier: Apache-2.0 */
#include "models/parallel.h"

struct job {
    struct sco_team *team;
    size_t phases;
    const size_t *tasks;
    sco_tasks_fn *body;
    void *argument;
};

static void run(size_t rank, size_t size, void *argument)
{
    const struct job *job = argument;
    for (size_t phase = 0; phase < job->phases; phase++) {
        size_t first, last;
        sco_team_block(job->tasks[phase], rank, size, &first, &last);
        if (first < last)
            job->body(phase, first, last, rank, job->argument);
        if (phase + 1 < job->phases)
            sco_team_barrier(job->team, rank);
    }
}

void sco_parallel(struct sco_team *team, size_t phases, const size_t tasks[], sco_tasks_fn *body, void *argument)
{
    struct job job = {team, phases, tasks, body, argument};
    sco_team_run(team, run, &job);
}
