#!/usr/bin/env bash
# A throwaway SLURM of one node on this machine: cluster.sh up | down.
# Debian's slurm-wlm and munge, no accounting, everything under STATE, root only.
set -euo pipefail
STATE="${CYTOSTRAT_SLURM_STATE:-/tmp/cytostrat-slurm}"
CONF=/etc/slurm/slurm.conf
MARK="# made by cytostrat tests/slurm/cluster.sh"

install() {
  command -v slurmctld >/dev/null && command -v munged >/dev/null &&
    [ -f /usr/share/i18n/locales/tr_TR ] && return
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    slurm-wlm munge locales
}

stop() {
  local pids=() name pid
  for name in slurmd slurmctld munged; do
    [ -f "$STATE/$name.pid" ] && pids+=("$(cat "$STATE/$name.pid")")
  done
  if [ "${#pids[@]}" -gt 0 ]; then
    # jobs of a run that was cut off; their daemons would go on without the cluster
    timeout 10 scancel --user=root 2>/dev/null || true
    for _ in $(seq 50); do
      [ -z "$(timeout 5 squeue -h -t running,completing 2>/dev/null)" ] && break
      sleep 0.2
    done
    kill "${pids[@]}" 2>/dev/null || true
    for _ in $(seq 50); do
      kill -0 "${pids[@]}" 2>/dev/null || break
      sleep 0.2
    done
    for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  fi
  if [ -f "$CONF" ] && grep -q "$MARK" "$CONF"; then rm -f "$CONF"; fi
  rm -rf "$STATE"
}

start() {
  if [ -f "$CONF" ] && ! grep -q "$MARK" "$CONF"; then
    echo "cluster.sh: $CONF exists and is not ours; refusing to replace it" >&2
    exit 1
  fi
  install
  stop
  mkdir -p "$STATE"/{spool,ctld,munge} "$(dirname "$CONF")"
  chmod 0711 "$STATE" && chmod 0700 "$STATE/munge"
  dd if=/dev/urandom of="$STATE/munge/key" bs=1024 count=1 status=none
  chmod 0400 "$STATE/munge/key"
  munged --force --key-file="$STATE/munge/key" --socket=$STATE/munge/socket \
    --pid-file="$STATE/munged.pid" --log-file="$STATE/munge/log" --seed-file="$STATE/munge/seed"
  cat >"$CONF" <<CONFIG
$MARK
ClusterName=throwaway
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$STATE/munge/socket
StateSaveLocation=$STATE/ctld
SlurmdSpoolDir=$STATE/spool
SlurmctldPidFile=$STATE/slurmctld.pid
SlurmdPidFile=$STATE/slurmd.pid
SlurmctldLogFile=$STATE/slurmctld.log
SlurmdLogFile=$STATE/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=30
InactiveLimit=0
MinJobAge=300
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(($(awk '/MemTotal/ {print $2}' /proc/meminfo) / 1024 * 9 / 10)) State=UNKNOWN
PartitionName=main Nodes=$(hostname -s) Default=YES MaxTime=INFINITE State=UP
CONFIG
  slurmctld -c
  slurmd -c
  for _ in $(seq 30); do
    sinfo -h -o %T 2>/dev/null | grep -q idle && { sinfo; return; }
    sleep 1
  done
  echo "cluster.sh: the node did not become idle" >&2
  tail -n 20 "$STATE"/slurm*.log >&2
  exit 1
}

case "${1:-}" in
  up) start ;;
  down) stop ;;
  *) echo "usage: cluster.sh up|down" >&2; exit 2 ;;
esac
