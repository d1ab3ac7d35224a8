#!/usr/bin/env bash
# One shard of a sweep on each task of a Slurm array. Ask for as many tasks as there shall be shards:
#
#   sbatch --array=1-16 slurm.sh guard-life runs/guard-life --seed 1
#   swarm-sim merge runs/guard-life-*-of-16 --out runs/guard-life    # when all tasks are done
#
# A task that was killed goes on where it was when it is submitted again: --array=3,7 of the same line, with SHARDS=16.
#SBATCH --job-name=swarm-sim
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
#SBATCH --time=04:00:00
set -euo pipefail

if [ $# -lt 2 ]; then
  echo "use: sbatch --array=1-N $0 SCENARIO FOLDER [options of swarm-sim sweep]" >&2
  exit 2
fi
scenario=$1 folder=$2
shift 2
shards=${SHARDS:-${SLURM_ARRAY_TASK_COUNT:?run this as an array: sbatch --array=1-16}}
shard=${SLURM_ARRAY_TASK_ID:?run this as an array: sbatch --array=1-16}

exec swarm-sim sweep "$scenario" --shard "$shard/$shards" --threads "${SLURM_CPUS_PER_TASK:-1}" \
  --out "$folder-$shard-of-$shards" "$@"
