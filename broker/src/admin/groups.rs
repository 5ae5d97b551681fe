//! Consumer groups: 200, 201, 207, 225 and 352.

use rocketmq_boot_protocol::{
    Command,
    body::{
        SubscriptionGroupConfig,
        config::{GroupConfigList, SubscriptionGroups},
        lenient,
    },
    header::group::{AllGroups, AllGroupsReply, DeleteSubscriptionGroup, GroupName},
};

use super::{topics::Page, with_body};
use crate::{reject::Reject, state::State};

impl State {
    /// Creates or changes a group; the body holds the whole of it (200).
    pub(crate) fn create_group(&self, request: &Command) -> Result<Command, Reject> {
        let group: SubscriptionGroupConfig = lenient::read("group", &request.body)?;
        self.groups.put(vec![group])?;
        Ok(Command::success(request))
    }

    /// Creates or changes several groups, all or none of them (225).
    pub(crate) fn create_groups(&self, request: &Command) -> Result<Command, Reject> {
        let list: GroupConfigList = lenient::read("list of groups", &request.body)?;
        self.groups.put(list.group_config_list)?;
        Ok(Command::success(request))
    }

    /// All groups, or a page of them (201).
    pub(crate) fn all_groups(&self, request: &Command) -> Result<Command, Reject> {
        let header: AllGroups = request.header()?;
        let groups = self.groups.snapshot();
        let total = groups.subscription_group_table.len();
        let page =
            Page { from: header.group_seq, most: header.max_group_num, seen: header.data_version.as_deref() };
        let table = page.cut(groups.subscription_group_table, groups.data_version);
        let mut forbidden_table = groups.forbidden_table;
        forbidden_table.retain(|group, _| table.contains_key(group));
        let body = SubscriptionGroups {
            forbidden_table,
            subscription_group_table: table,
            ..groups_at(groups.data_version)
        };
        let reply = AllGroupsReply { total_group_num: i32::try_from(total).ok() };
        Ok(with_body(request, &body).with_header(&reply))
    }

    /// One group (352).
    pub(crate) fn group_config(&self, request: &Command) -> Result<Command, Reject> {
        let header: GroupName = request.header()?;
        let group = self.groups.find(&header.group).ok_or_else(Reject::no_group_here)?;
        Ok(with_body(request, &*group))
    }

    /// Deletes a group, with its offsets when that is asked for (207).
    pub(crate) fn delete_group(&self, request: &Command) -> Result<Command, Reject> {
        let header: DeleteSubscriptionGroup = request.header()?;
        self.groups.delete(&header.group_name)?;
        if header.clean_offset {
            self.offsets.remove_group(&header.group_name);
        }
        self.topics.for_each(|topic| topic.traffic.forget(&header.group_name));
        Ok(Command::success(request))
    }
}

fn groups_at(data_version: rocketmq_boot_protocol::body::DataVersion) -> SubscriptionGroups {
    SubscriptionGroups { data_version, ..SubscriptionGroups::default() }
}
