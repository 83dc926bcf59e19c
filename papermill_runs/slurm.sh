#!/usr/bin/env bash
# A sweep on a Slurm cluster. In the environment in which `python -m lib.runs` works:
#
#     bash papermill_runs/slurm.sh papermill_runs/05_mix_ratio.sweep.json --gpus-per-node=4 --time=2-0
#
# submits one job of an array for each run that has no record yet, 4 at a time; whatever follows the file goes to sbatch.
# Called again it submits what is still missing. The repository and the cache (STUDY_CACHE) have to lie where every
# machine sees them.
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=1-0
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
#SBATCH --output=papermill_runs/%x-%A_%a.log
set -euo pipefail
: "${1:?a sweep description, such as papermill_runs/05_mix_ratio.sweep.json}"

if [ -z "${SLURM_ARRAY_TASK_ID:-}" ]; then
    cd "$(dirname "$0")/.."
    missing=$(python -m lib.runs sweep "$1" list=missing)
    if [ -z "$missing" ]; then echo "nothing is missing of $1"; exit; fi
    exec sbatch --array="$missing%4" --job-name="$(basename "$1" .sweep.json)" "${@:2}" papermill_runs/slurm.sh "$1"
fi

export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}  # srun no longer takes it from the job
gpus=${SLURM_GPUS_ON_NODE:-1} nodes=${SLURM_JOB_NUM_NODES:-1} through=python
# a port of its own, since jobs may share a machine
shape="--multi_gpu --num_machines $nodes --num_processes $((gpus * nodes))"
shape="$shape --main_process_port $((20000 + SLURM_JOB_ID % 10000))"
if [ "$nodes" -gt 1 ]; then  # an accelerate on each machine; they find each other at the first
    first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)
    each='exec accelerate launch --machine_rank $SLURM_NODEID "$@"'
    through="srun --kill-on-bad-exit=1 bash -c '$each' launch $shape --main_process_ip $first"
elif [ "$gpus" -gt 1 ]; then
    through="accelerate launch $shape"
fi

# In the background, because a shell hears signals only while it waits. The run saves where it is and goes on from there
# next time: USR1 comes two minutes before the time is up, TERM before a preemption, after which Slurm queues the job
# again by itself.
python -m lib.runs sweep "$1" point="$SLURM_ARRAY_TASK_ID" retries=1 through="$through" &
run=$! again="" code=0
trap 'kill -TERM $run' TERM
trap 'kill -TERM $run; again=yes' USR1
while kill -0 $run 2>/dev/null; do wait $run || true; done  # a signal ends `wait`, not the run
wait $run || code=$?
if [ -n "$again" ] && [ "$code" != 0 ]; then  # this element of the array
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$code"
