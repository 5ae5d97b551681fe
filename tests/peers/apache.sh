#!/usr/bin/env bash
# Starts real Apache RocketMQ servers from Maven artifacts, as peers of the tests and benchmarks. ../README.md says more.
#
#   apache.sh install   VERSION                                fetch the jars once, into the cache folder
#   apache.sh classpath VERSION                                print the class path (for javac and java)
#   apache.sh namesrv   VERSION PORT DIR                       foreground: this process becomes the server
#   apache.sh broker    VERSION PORT DIR NAMESRV [CONF-FILE]   likewise; lines of CONF-FILE win over the profile's
#   apache.sh java      VERSION ARG...                         java with that class path ($CLASSPATH behind it)
#
# Environment: ROCKETMQ_BOOT_PEERS (cache folder), PEER_PROFILE (test | bench), PEER_JAVA_OPTS, JAVA_HOME.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${ROCKETMQ_BOOT_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/rocketmq-boot-peers}
profile=${PEER_PROFILE:-test}
java=${JAVA_HOME:+$JAVA_HOME/bin/}java

fail() {
  printf 'apache.sh: %s\n' "$*" >&2
  exit 2
}

usage() {
  sed -n 's/^#   //p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

require() {
  command -v "$1" >/dev/null 2>&1 || fail "$1 is needed and is not on PATH"
}

jars() {
  printf '%s/%s/lib' "$cache" "$1"
}

# One process at a time fetches; the others wait for it and find the jars there.
install() {
  local version=$1 home
  [[ $version =~ ^[0-9]+(\.[0-9]+)+$ ]] || fail "'$version' is not a version"
  home=$cache/$version
  [ ! -d "$home/lib" ] || return 0
  require mvn
  mkdir -p "$home"
  exec 9>"$home/lock"
  flock 9
  if [ ! -d "$home/lib" ]; then
    rm -rf "$home/incoming"
    mvn -q -B -f "$here/pom.xml" "-Drocketmq.version=$version" dependency:copy-dependencies \
      -DincludeScope=runtime "-DoutputDirectory=$home/incoming" >"$home/install.log" 2>&1 || {
      cat "$home/install.log" >&2
      fail "Maven could not resolve Apache RocketMQ $version"
    }
    mv -T "$home/incoming" "$home/lib"
  fi
  exec 9>&-
}

# RocketMQ reaches into these packages to unmap files and to look at locks.
openings() {
  printf -- '--add-opens=java.base/%s=ALL-UNNAMED\n' \
    java.lang java.nio java.util java.util.concurrent sun.nio.ch jdk.internal.ref
  printf -- '--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED\n'
}

# Makes $1 the home of a server in the role $2: conf, logs, temporary files, and one small log file.
prepare() {
  local role=$2
  mkdir -p "$1/conf" "$1/logs" "$1/tmp"
  dir=$(cd "$1" && pwd)
  cat >"$dir/conf/logback.xml" <<XML
<configuration>
  <appender name="file" class="ch.qos.logback.core.FileAppender">
    <file>$dir/logs/$role.log</file>
    <encoder><pattern>%d{HH:mm:ss.SSS} %level %logger{0} %msg%n</pattern></encoder>
  </appender>
  <root level="\${peer.log:-WARN}"><appender-ref ref="file"/></root>
</configuration>
XML
  # 4.x asks for a file by the name of its role; 5.x takes the one that the property names.
  cp "$dir/conf/logback.xml" "$dir/conf/logback_$role.xml"
}

# become ROLE VERSION CLASS ARG...: exec, so that whoever spawned the script holds the server itself.
become() {
  local role=$1 version=$2 class=$3 heap
  shift 3
  require "$java"
  if [ "$profile" = bench ]; then
    heap=(-Xms256m -Xmx256m)
    [ "$role" != broker ] || heap=(-Xms2g -Xmx2g -XX:+UseG1GC -XX:MaxDirectMemorySize=4g)
  else
    heap=(-Xms32m -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1)
    [ "$role" != broker ] || heap+=(-Xmx512m -XX:MaxDirectMemorySize=512m)
  fi
  local open
  mapfile -t open < <(openings)
  # shellcheck disable=SC2086  # PEER_JAVA_OPTS is a list of words
  exec "$java" "${heap[@]}" -XX:-UsePerfData "${open[@]}" \
    "-Duser.home=$dir" "-Drocketmq.home.dir=$dir" "-Djava.io.tmpdir=$dir/tmp" \
    "-Drmq.logback.configurationFile=$dir/conf/logback.xml" \
    -Drocketmq.broker.diskSpaceWarningLevelRatio=0.97 -Drocketmq.broker.diskSpaceCleanForciblyRatio=0.95 \
    ${PEER_JAVA_OPTS:-} -cp "$(jars "$version")/*" "$class" "$@"
}

namesrv() {
  local version=$1 port=$2
  prepare "$3" namesrv
  cat >"$dir/conf/namesrv.conf" <<CONF
listenPort=$port
bindAddress=127.0.0.1
kvConfigPath=$dir/kvConfig.json
configStorePath=$dir/namesrv.properties
CONF
  become namesrv "$version" org.apache.rocketmq.namesrv.NamesrvStartup -c "$dir/conf/namesrv.conf"
}

broker() {
  local version=$1 port=$2 namesrv=$4 extra=${5:-}
  [ -z "$extra" ] || [ -r "$extra" ] || fail "cannot read '$extra'"
  prepare "$3" broker
  {
    cat <<CONF
brokerClusterName=DefaultCluster
brokerName=broker-a
brokerId=0
listenPort=$port
bindAddress=127.0.0.1
brokerIP1=127.0.0.1
brokerIP2=127.0.0.1
namesrvAddr=$namesrv
storePathRootDir=$dir/store
storePathCommitLog=$dir/store/commitlog
autoCreateTopicEnable=true
enablePropertyFilter=true
CONF
    # Small files; no refusal because the machine is busy or its disk fairly full; and a 5.x broker with the default
    # op batch spins one core for good after its first ended transaction.
    [ "$profile" = bench ] || cat <<CONF
mappedFileSizeCommitLog=67108864
maxHashSlotNum=100000
maxIndexNum=400000
diskMaxUsedSpaceRatio=95
waitTimeMillsInSendQueue=10000
waitTimeMillsInPullQueue=20000
osPageCacheBusyTimeOutMills=10000
transactionOpBatchInterval=86400000
transactionOpMsgMaxSize=1
timerFlushIntervalMs=10000
CONF
    [ -z "$extra" ] || cat "$extra"
  } >"$dir/conf/broker.conf"
  become broker "$version" org.apache.rocketmq.broker.BrokerStartup -c "$dir/conf/broker.conf"
}

[ $# -ge 2 ] || usage
command=$1
shift
case $command:$# in
  install:1) install "$1" ;;
  classpath:1)
    install "$1"
    printf '%s/*\n' "$(jars "$1")"
    ;;
  namesrv:3 | broker:4 | broker:5)
    install "$1"
    "$command" "$@"
    ;;
  java:*)
    install "$1"
    require "$java"
    version=$1
    shift
    mapfile -t open < <(openings)
    # shellcheck disable=SC2086
    exec "$java" "${open[@]}" ${PEER_JAVA_OPTS:-} -cp "$(jars "$version")/*${CLASSPATH:+:$CLASSPATH}" "$@"
    ;;
  *) usage ;;
esac
